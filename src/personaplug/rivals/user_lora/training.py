"""Train one LoRA adapter a user, on that user's history alone: the costly rival (OPPU, arXiv 2402.04401).

An adapter answers all of a user's queries in a split, so it sees what the first of them may see: items strictly earlier
than that query, less the task's embargo. Every user starts from the same weights, those in the run folder: an untrained
adapter's, or one's that was fitted to the task first. That one may also stay as it is, under the users' own, which then
start untrained: so the paper adapts the base LLM. A user whose adapter is on
disk and was made of the same items and settings is not trained again.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LambdaLR

from personaplug.backbone.base import Backbone
from personaplug.backbone.kept_inputs import KeptInputs
from personaplug.backbone.tokens import TokenEmbeddings
from personaplug.files import discard_drafts
from personaplug.plug.run_file import as_kept
from personaplug.records import Example
from personaplug.rivals.user_lora.adapter_folder import AdapterRecord
from personaplug.rivals.user_lora.adapters import UserAdapters, Weights
from personaplug.rivals.user_lora.content_hash import AdapterContent
from personaplug.rivals.user_lora.history_examples import UserHistory, training_examples
from personaplug.rivals.user_lora.run import UserTrainingConfig
from personaplug.rivals.user_lora.run_folder import UserLoraFolder
from personaplug.training.divergence import check_loss

_KEPT = 1_000_000_000
"""Bytes of one training's inputs that are kept read."""


@dataclass(frozen=True, slots=True)
class TrainingTexts:
    """What one adapter is trained on, one row a history item or training query.

    Attributes:
        prompts: What the language model reads.
        targets: What the user answered.
    """

    prompts: tuple[str, ...]
    targets: tuple[str, ...]

    @classmethod
    def of(cls, examples: Sequence[Example], write: Callable[[Sequence[Example]], Sequence[str]]) -> "TrainingTexts":
        """Write the examples' prompts, as they will be when the adapter answers."""
        return cls(tuple(write(examples)), tuple(example.target or "" for example in examples))


def adapt(
    run: UserLoraFolder,
    adapters: UserAdapters,
    *,
    examples: Sequence[Example],
    write: Callable[[Sequence[Example]], Sequence[str]],
    max_input_tokens: int,
    on_step: Callable[[int, int], None] | None = None,
) -> None:
    """Fit what all users start from, or what stays under all their adapters, to the task; keep it in the run folder.

    Args:
        run: Where, and how.
        adapters: On the run's language model, which does not change.
        examples: Everybody's queries, at least one.
        write: Writes the examples' prompts, as it will when an adapter answers.
        max_input_tokens: Longer prompts are cut at their end.
        on_step: Called after each step, with its number and that of all.
    """
    began, adaptation = time.perf_counter(), run.config.adaptation
    config = replace(
        run.config.training,
        epochs=adaptation.epochs,
        batch_size=adaptation.batch_size,
        learning_rate=adaptation.learning_rate,
    )
    texts = TrainingTexts.of(examples, write)
    weights, _ = fit(adapters, texts, config, start=adapters.start, max_input_tokens=max_input_tokens, on_step=on_step)
    if run.config.rests_on_task:
        run.keep_base(weights)
        weights = adapters.start
    run.keep_start(weights, seconds=time.perf_counter() - began)


def train_users(
    run: UserLoraFolder,
    adapters: UserAdapters,
    *,
    histories: Sequence[UserHistory],
    write: Callable[[Sequence[Example]], Sequence[str]],
    max_input_tokens: int,
    on_user: Callable[[AdapterRecord], None] | None = None,
) -> list[AdapterRecord]:
    """Give every user an adapter in the run folder.

    Args:
        run: Where, and how.
        adapters: On the run's language model, which does not change.
        histories: One a user; of an empty one no adapter is made, and what all start from answers.
        write: Writes the examples' prompts, as it will when the adapter answers.
        max_input_tokens: Longer prompts are cut at their end.
        on_user: Called after each user.

    Returns:
        The users' records, in the order of the histories.
    """
    run.save()
    run.adapters.discard_unfinished()
    discard_drafts(run.path)
    start = run.start(adapters)
    records = []
    for history in histories:
        examples = training_examples(history, run.task, max_items=run.config.training.max_items)
        texts = TrainingTexts.of(examples, write)
        content = AdapterContent(
            as_kept(run.config, run.path), texts.prompts, texts.targets, max_input_tokens, (start, run.base)
        )
        wanted = AdapterRecord(
            user_id=history.profile.user_id,
            items=len(examples),
            until=examples[-1].time.isoformat() if examples else "",
            content=content.hash,
        )
        record = _found(run, wanted.user_id, content) or _trained(
            run, wanted, adapters=adapters, texts=texts, start=start, max_input_tokens=max_input_tokens
        )
        records.append(record)
        if on_user:
            on_user(record)
    return records


def fit(
    adapters: UserAdapters,
    texts: TrainingTexts,
    config: UserTrainingConfig,
    *,
    start: Weights,
    max_input_tokens: int,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[Weights, int]:
    """Train one adapter from given weights with an optimizer of its own; give it and the number of steps.

    The order of the texts is drawn by the seed alone, so the same history makes the same adapter whoever went before.
    """
    batches = _batches(len(texts.prompts), config)
    backbone = adapters.backbone

    def read(batch: np.ndarray) -> TokenEmbeddings:
        return adapters.joined(backbone.embed([texts.prompts[at] for at in batch], max_tokens=max_input_tokens))

    epoch = batches[: _steps_an_epoch(len(texts.prompts), config)] if adapters.tail and config.epochs > 1 else []
    devices = [backbone.device] if backbone.device.type == "cuda" else []
    with torch.random.fork_rng(devices), adapters.training(start) as weights, _kept(backbone, map(read, epoch)):
        torch.manual_seed(config.seed)  # of what dropout leaves out
        optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay)
        schedule = LambdaLR(optimizer, partial(_rate, steps=len(batches), warmup=config.warmup))
        for number, batch in enumerate(batches, start=1):
            targets = [texts.targets[at] for at in batch]
            loss = backbone.loss(read(batch), targets, max_tokens=config.max_output_tokens)
            check_loss(loss.detach(), step=number)
            loss.backward()
            _step(weights, optimizer, max_gradient=config.max_gradient)
            schedule.step()
            if on_step:
                on_step(number, len(batches))
    return adapters.weights(), len(batches)


@contextmanager
def _kept(backbone: Backbone, epoch: Iterable[TokenEmbeddings]) -> Iterator[None]:
    """Read an epoch's inputs once for all: where adapters read answers alone they are the same at every draw."""
    backbone.kept = KeptInputs(_KEPT)
    try:
        for inputs in epoch:
            backbone.keep(inputs)
        yield
    finally:
        backbone.kept = None


def _found(run: UserLoraFolder, user_id: str, content: AdapterContent) -> AdapterRecord | None:
    found = run.adapters.record(user_id)
    return found if found and content.is_of(found.content) else None


def _trained(
    run: UserLoraFolder,
    wanted: AdapterRecord,
    *,
    adapters: UserAdapters,
    texts: TrainingTexts,
    start: Weights,
    max_input_tokens: int,
) -> AdapterRecord:
    if not texts.prompts:
        return run.adapters.write(wanted)
    began = time.perf_counter()
    weights, steps = fit(adapters, texts, run.config.training, start=start, max_input_tokens=max_input_tokens)
    record = replace(wanted, steps=steps, seconds=time.perf_counter() - began)
    return run.adapters.write(record, partial(adapters.save, weights))


def _batches(texts: int, config: UserTrainingConfig) -> list[np.ndarray]:
    """Cut the epochs into batches; of part of an epoch, its first batches."""
    draw = np.random.default_rng(config.seed)
    each = _steps_an_epoch(texts, config)
    steps = max(1, round(each * config.epochs))
    epochs = (draw.permutation(texts) for _ in range(-(-steps // each)))
    cut = [order[at : at + config.batch_size] for order in epochs for at in range(0, texts, config.batch_size)]
    return cut[:steps]


def _steps_an_epoch(texts: int, config: UserTrainingConfig) -> int:
    return -(-texts // config.batch_size)


def _rate(step: int, *, steps: int, warmup: float) -> float:
    """Rise linearly over the warm-up, then fall linearly to nothing."""
    rising = max(1, round(steps * warmup))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising), 1.0)


def _step(weights: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer, *, max_gradient: float) -> None:
    clip_grad_norm_(weights, max_gradient)
    optimizer.step()
    optimizer.zero_grad()
