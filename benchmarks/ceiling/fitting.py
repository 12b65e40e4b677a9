"""Fit a change to one user, and score queries through it: every form with the same steps on the same batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch.nn.utils import clip_grad_norm_

from benchmarks.batches import in_batches
from benchmarks.ceiling.changes import Change
from personaplug.backbone.tokens import TokenEmbeddings
from personaplug.plug.model import PersonaPlug
from personaplug.records import Example

_MAX_GRADIENT = 1.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Queries that are read, with all that the plug puts beside them, as far as no change reaches.

    Attributes:
        inputs: What the language model goes on from.
        targets: The right answers.
    """

    inputs: TokenEmbeddings
    targets: tuple[str, ...]


@torch.no_grad()
def read(plug: PersonaPlug, examples: Sequence[Example]) -> list[Batch]:
    """Read queries once for all changes."""
    made = [plug.batcher(some) for some in in_batches(examples)]
    return [Batch(plug.backbone.read_ahead(plug.inputs(each)), each.targets) for each in made]


def fit(plug: PersonaPlug, change: Change, batches: Sequence[Batch], *, epochs: int, rate: float, seed: int) -> Change:
    """Train a change by the likelihood of the user's own answers; the rate falls linearly to nothing."""
    optimizer = torch.optim.AdamW(change.parameters(), lr=rate, weight_decay=0.0)
    steps, longest = epochs * len(batches), plug.run.training.max_output_tokens
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for batch in _draws(batches, epochs=epochs, seed=seed):
        plug.backbone.loss(change.joined(batch.inputs), batch.targets, max_tokens=longest).backward()
        clip_grad_norm_(change.parameters(), _MAX_GRADIENT)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return change


@torch.no_grad()
def nats(plug: PersonaPlug, batches: Sequence[Batch], change: Change | None = None) -> Float[np.ndarray, " queries"]:
    """Give the nats of each right answer, through a change or without one."""
    longest = plug.run.training.max_output_tokens
    pairs = [(change.joined(each.inputs) if change else each.inputs, each.targets) for each in batches]
    scores = [plug.backbone.score(inputs, targets, max_tokens=longest) for inputs, targets in pairs]
    return np.concatenate([-each.log_likelihood.numpy() for each in scores])


def _draws(batches: Sequence[Batch], *, epochs: int, seed: int) -> Iterator[Batch]:
    draw = np.random.default_rng(seed)
    return (batches[at] for _ in range(epochs) for at in draw.permutation(len(batches)))
