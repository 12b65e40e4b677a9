"""Fit what chooses: a retriever among a user's items, or a selector among retrievers."""

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from transformers import get_linear_schedule_with_warmup

from personaplug.errors import ConfigError
from personaplug.rivals.learned_retrieval.candidates import CandidateSet
from personaplug.rivals.learned_retrieval.objectives import Distillation, PolicyGradient
from personaplug.rivals.learned_retrieval.ranker import ItemRanker
from personaplug.rivals.learned_retrieval.run import FittingConfig
from personaplug.rivals.learned_retrieval.selector import PromptSelector
from personaplug.training.divergence import check_loss

Chooser = ItemRanker | PromptSelector
Objective = Distillation | PolicyGradient


@dataclass(frozen=True, slots=True)
class ChoosingProgress:
    """How far fitting is.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        summary: What there is to say of it.
    """

    step: int
    steps: int
    summary: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """What fitting came to.

    Attributes:
        steps: Steps done.
        queries: Training queries that left a choice.
        seconds: Wall time, the language model's included.
        dev_score: Mean score on dev of what the kept weights choose; None where there are no dev queries.
        dev_untrained: The same before the first step.
        dev_reference: The same of another: of the ``dense`` retriever that found the items to choose from, or of that
            single retriever which is best on dev in hindsight.
    """

    steps: int
    queries: int
    seconds: float
    dev_score: float | None
    dev_untrained: float | None
    dev_reference: float | None

    @property
    def summary(self) -> str:
        """Say it in a line."""
        done = f"{self.steps:,} steps in {self.seconds:.0f} s"
        if self.dev_score is None:
            return done
        return f"{done}, mean score on dev {self.dev_score:.3f}, without training {self.dev_untrained:.3f}"


@dataclass(frozen=True, slots=True)
class Dev:
    """What the best pass is chosen by.

    Attributes:
        choices: Of dev queries; may be empty.
        score: Gives the mean score of the options at these places, one a choice.
        reference: As in :class:`Chosen`.
    """

    choices: Sequence[CandidateSet]
    score: Callable[[Sequence[int]], float]
    reference: float | None


def fit_chooser(
    chooser: Chooser,
    choices: Sequence[CandidateSet],
    *,
    objective: Objective,
    config: FittingConfig,
    dev: Dev,
    metrics: Path,
    on_progress: Callable[[ChoosingProgress], None] | None = None,
) -> Chosen:
    """Fit a chooser in place and leave it with the weights that chose best on dev, those of the start included.

    The same arguments give the same weights, so that an interrupted run may begin anew.

    Args:
        chooser: Untrained.
        choices: Of training queries; those with one option or none teach nothing and are left out.
        objective: The loss.
        config: How long and how fast.
        dev: What to choose the best weights by.
        metrics: A file for what is measured, a line of JSON each; replaced.
        on_progress: Called after each step.

    Raises:
        ConfigError: No query leaves a choice.
    """
    choices = [choice for choice in choices if len(choice.options) > 1]
    if not choices:
        raise ConfigError("no training query has two items to choose from", hint="personaplug data audit shows the log")
    start, best, step = perf_counter(), _Best(chooser, dev), 0
    epochs = int(config.epochs)  # a float in the files of runs
    steps = epochs * -(-len(choices) // config.batch_size)
    optimizer = _optimizer(chooser, config)
    schedule = get_linear_schedule_with_warmup(optimizer, round(config.warmup * steps), steps)
    with metrics.open("w", encoding="utf-8") as file:
        for epoch in range(epochs):
            for batch in _batches(choices, config, epoch=epoch):
                loss = _step(chooser, batch, objective, optimizer)
                schedule.step()
                step += 1
                check_loss(loss, step=step)
                file.write(json.dumps({"step": step, "loss": loss}) + "\n")
                if on_progress:
                    on_progress(ChoosingProgress(step, steps, f"loss {loss:.3f}{best.summary}"))
            best.evaluate()
            file.write(json.dumps({"step": step, "dev_score": best.latest}) + "\n")
    best.restore()
    return Chosen(step, len(choices), perf_counter() - start, best.score, best.untrained, dev.reference)


@dataclass(slots=True)
class _Best:
    """The weights that chose best on dev so far; without dev queries, the latest."""

    chooser: Chooser
    dev: Dev
    score: float | None = None
    latest: float | None = None
    untrained: float | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.evaluate()
        self.untrained = self.latest

    @property
    def summary(self) -> str:
        return "" if self.latest is None else f"  dev {self.latest:.3f}, without training {self.untrained:.3f}"

    def evaluate(self) -> None:
        if not self.dev.choices:
            return
        self.latest = self.dev.score([_place(self.chooser, choice) for choice in self.dev.choices])
        if self.score is None or self.latest > self.score:
            self.score, self.weights = self.latest, deepcopy(self.chooser.state_dict())

    def restore(self) -> None:
        if self.weights:
            self.chooser.load_state_dict(self.weights)


@torch.no_grad()
def _place(chooser: Chooser, choice: CandidateSet) -> int:
    return int(chooser.logits([choice.query], [choice.options])[0].argmax())


def _step(
    chooser: Chooser, batch: Sequence[CandidateSet], objective: Objective, optimizer: torch.optim.Optimizer
) -> float:
    logits = chooser.logits([choice.query for choice in batch], [choice.options for choice in batch])
    loss = objective(logits, batch)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(chooser.parameters(), max_norm=1.0)
    optimizer.step()
    return loss.item()


def _batches(choices: Sequence[CandidateSet], config: FittingConfig, *, epoch: int) -> Iterator[list[CandidateSet]]:
    order = np.random.default_rng([config.seed, epoch]).permutation(len(choices))
    for start in range(0, len(order), config.batch_size):
        yield [choices[at] for at in order[start : start + config.batch_size]]


def _optimizer(chooser: Chooser, config: FittingConfig) -> torch.optim.Optimizer:
    named = list(chooser.named_parameters())
    encoder = [weight for name, weight in named if name.startswith("encoder.")]
    head = [weight for name, weight in named if not name.startswith("encoder.")]
    groups = [{"params": encoder, "lr": config.learning_rate}]
    groups += [{"params": head, "lr": config.head_learning_rate}] if head else []
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)
