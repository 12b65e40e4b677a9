"""Train the decoder of the embedded language model ``nano`` over cached states of the frozen MiniLM encoder.

    python scripts/train_nano.py --data ../shared/data --work build/nano
    python scripts/train_nano.py --work build/nano --resume
    python scripts/train_nano.py --work build/nano --export-only

Writes caches, checkpoints and a log under ``--work``, the finished decoder into the package.
"""

import argparse
import json
import logging
import math
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import torch
from nano_cache import Cache, write_cache
from nano_corpus import TRAIN_COUNTS, dev_corpus, train_corpus
from nano_decoder import losses, new_decoder
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertLMHeadModel

import personaplug.nano
from personaplug.nano import NOT_SHIPPED, load_tokenizer

SEED = 20_240
DEV_PER_TASK = 400
PEAK_RATE = 1e-3
LAST_RATE = 0.02 * PEAK_RATE
WARM_UP = 0.03
CHECKPOINT_SECONDS = 300
LOG_SECONDS = 30
PACKAGE = Path(personaplug.nano.__file__).parent

log = logging.getLogger("train_nano")


@dataclass(slots=True)
class Progress:
    """How far a run has come; ``batch`` counts within the epoch, ``seconds`` only those spent on training steps."""

    epoch: int = 0
    batch: int = 0
    steps: int = 0
    examples: int = 0
    seconds: float = 0.0


def main() -> None:
    """Prepare what is missing, train, export."""
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(options.work / "train.log")]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers)
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    if not options.export_only:
        prepare(options.data, options.work, share=options.share)
        train(options.work, steps=options.steps, resume=options.resume)
    if options.share == 1:
        export(options.work)


def prepare(data: Path, work: Path, *, share: float) -> None:
    """Draw the examples and cache the encoder's states; what is whole is kept."""
    if (work / "prepared").exists():
        return
    shortener = load_tokenizer().backend_tokenizer
    shortener.no_truncation()
    shortener.no_padding()
    corpus = train_corpus(data)
    pairs = [*corpus.pairs(TRAIN_COUNTS, shortener, SEED), *corpus.background_pairs(shortener, SEED)]
    pairs = Random(SEED).sample(pairs, round(share * len(pairs)))
    dev_counts = dict.fromkeys(TRAIN_COUNTS, round(share * DEV_PER_TASK))
    dev_pairs = list(dev_corpus(data).pairs(dev_counts, shortener, SEED))
    write_cache(pairs, work / "train")
    write_cache(dev_pairs, work / "dev")
    (work / "prepared").touch()


def train(work: Path, *, steps: int, resume: bool) -> None:
    """Train for so many steps, with a checkpoint every few minutes, then measure the held-out loss."""
    tokenizer = load_tokenizer()
    examples, dev = Cache(work / "train", tokenizer), Cache(work / "dev", tokenizer)
    run = Run(new_decoder(tokenizer))
    if resume:
        run.load(work / "checkpoint.safetensors")
    weights = sum(weight.numel() for weight in run.trained)
    log.info("%d trained weights, %d examples, from %s", weights, len(examples.pairs), run.progress)
    progress, saved, shown = run.progress, run.progress.seconds, run.progress.seconds
    while progress.steps < steps:
        for step in islice(examples.steps(SEED + progress.epoch), progress.batch, None):
            run.step(examples, step, rate=learning_rate(progress.steps / steps))
            if progress.seconds - shown > LOG_SECONDS:
                shown = progress.seconds
                run.report()
            if progress.seconds - saved > CHECKPOINT_SECONDS:
                saved = progress.seconds
                run.save(work / "checkpoint.safetensors")
                log.info("held out: %s", held_out_loss(run.decoder, dev))
            if progress.steps >= steps:
                break
        else:
            progress.epoch, progress.batch = progress.epoch + 1, 0
    run.save(work / "checkpoint.safetensors")
    held_out = {"progress": asdict(progress), "nats": held_out_loss(run.decoder, dev)}
    log.info("held out: %s", held_out)
    (work / "held_out.json").write_text(json.dumps(held_out, indent=2) + "\n", encoding="utf-8")


def learning_rate(done: float) -> float:
    """Give the learning rate after a share of the run: a linear warm-up, then half a cosine."""
    if done < WARM_UP:
        return LAST_RATE + (PEAK_RATE - LAST_RATE) * done / WARM_UP
    wave = math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP)))
    return LAST_RATE + (PEAK_RATE - LAST_RATE) * (1 + wave) / 2


@dataclass(slots=True)
class Run:
    """A decoder in training with its optimizer, its progress and the losses since the last report."""

    decoder: BertLMHeadModel
    progress: Progress = field(default_factory=Progress)
    trained: list[nn.Parameter] = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    recent: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.trained = [weight for weight in self.decoder.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, betas=(0.9, 0.98), weight_decay=0.01)

    def step(self, examples: Cache, batches: list[list[int]], *, rate: float) -> None:
        """Take one step on a few batches, each target piece with the same weight."""
        started = time.monotonic()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        targets = [examples.targets(batch) for batch in batches]
        pieces = sum(int((each != -100).sum()) for each in targets)
        for batch, target in zip(batches, targets, strict=True):
            each = losses(self.decoder, *examples.states(batch), target)
            (each.sum() / pieces).backward()
            for i, loss in zip(batch, _by_row(each.detach(), target), strict=True):
                self.recent[examples.pairs[i].task].append(loss.sum().item())
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.progress.batch += 1
        self.progress.steps += 1
        self.progress.examples += sum(map(len, batches))
        self.progress.seconds += time.monotonic() - started

    def report(self) -> None:
        """Log speed and the mean loss of a text of each task since the last report, in nats."""
        means = " ".join(f"{task} {np.mean(values):.3f}" for task, values in sorted(self.recent.items()))
        at = self.progress
        log.info(
            "%.0f s, epoch %d, step %d, %.1f/s: %s", at.seconds, at.epoch, at.steps, at.examples / at.seconds, means
        )
        self.recent.clear()

    def save(self, path: Path) -> None:
        """Write weights, optimizer and progress in one file, whole or not at all."""
        tensors = {f"decoder.{name}": value for name, value in own_weights(self.decoder).items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
        save_file(tensors, path.with_suffix(".part"), metadata={"progress": json.dumps(asdict(self.progress))})
        path.with_suffix(".part").replace(path)
        log.info("checkpoint at %.0f s", self.progress.seconds)

    def load(self, path: Path) -> None:
        """Continue from what :meth:`save` wrote."""
        with safe_open(path, "pt") as file:
            self.progress = Progress(**json.loads(file.metadata()["progress"]))
        load_weights(self.decoder, path)
        state: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for name, value in load_file(path).items():
            owner, _, rest = name.partition(".")
            if owner == "optimizer":
                number, _, moment = rest.partition(".")
                state[int(number)][moment] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": dict(state)})


def load_weights(decoder: BertLMHeadModel, path: Path) -> None:
    """Put a checkpoint's weights into a decoder."""
    named = ((*name.partition("."), value) for name, value in load_file(path).items())
    decoder.load_state_dict({name: value for owner, _, name, value in named if owner == "decoder"}, strict=False)
    decoder.tie_weights()


@torch.inference_mode()
def held_out_loss(decoder: BertLMHeadModel, dev: Cache) -> dict[str, dict[str, dict[str, float]]]:
    """Measure each task's mean loss in nats, per piece and per text, with items in the prompt and without."""
    found: dict[str, dict[str, list[Tensor]]] = defaultdict(lambda: defaultdict(list))
    for batch in dev.batches(range(len(dev.pairs))):
        targets = dev.targets(batch)
        for i, loss in zip(batch, _by_row(losses(decoder, *dev.states(batch), targets), targets), strict=True):
            pair = dev.pairs[i]
            found[pair.task]["with items" if pair.has_items else "without items"].append(loss)
    return {
        task: {
            key: {"piece": round(float(torch.cat(x).mean()), 3), "text": round(float(torch.cat(x).sum()) / len(x), 2)}
            for key, x in sorted(by.items())
        }
        for task, by in sorted(found.items())
    }


def own_weights(decoder: BertLMHeadModel) -> dict[str, Tensor]:
    """Give the decoder's weights without those that are MiniLM's own or stand twice."""
    return {name: value for name, value in decoder.state_dict().items() if name not in NOT_SHIPPED}


def export(work: Path) -> None:
    """Write the last checkpoint's decoder into the package, in bfloat16, without MiniLM's word embeddings."""
    decoder = new_decoder(load_tokenizer())
    load_weights(decoder, work / "checkpoint.safetensors")
    decoder.config.save_pretrained(PACKAGE / "decoder")
    weights = {name: value.bfloat16().contiguous() for name, value in own_weights(decoder).items()}
    save_file(weights, PACKAGE / "decoder" / "model.safetensors", metadata={"format": "pt"})
    (PACKAGE / "decoder" / "model.safetensors").chmod(0o644)
    log.info("exported to %s", PACKAGE)


def _by_row(each: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    rows: tuple[Tensor, ...] = each.split((targets != -100).sum(dim=1).tolist())
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the logs")
    parser.add_argument("--work", type=Path, default=Path("build/nano"), help="folder of caches and checkpoints")
    parser.add_argument("--steps", type=int, default=2600, help="steps of 48 examples")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument(
        "--share", type=float, default=1.0, help="share of the examples, for a trial; below 1: no export"
    )
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    parser.add_argument("--export-only", action="store_true", help="write the last checkpoint into the package")
    return parser.parse_args()


if __name__ == "__main__":
    main()
