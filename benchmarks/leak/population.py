"""Whose leak is measured, and whom the attacker has learned from: two groups without a user in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.records import Example, HistoryItem, Profile
from personaplug.tasks.task import Task

FEWEST = 8
"""Items of a history whose leak is measured."""


@dataclass(frozen=True, slots=True)
class Population:
    """Queries with the histories that a persona is made of, cut as the task shows them.

    Attributes:
        reported: One query a user: the first of the test split, else of dev. Nothing is tuned on these users.
        known: Train queries of all other users, whom the attacker holds texts and vectors of.
    """

    reported: tuple[Example, ...]
    known: tuple[Example, ...]

    @classmethod
    def read(cls, log: Path, task: Task) -> "Population":
        """Read a log and leave out reported users with fewer than :data:`FEWEST` items."""
        rows = list(read_log(log, task))
        first: dict[str, Example] = {}
        for split in ("test", "dev"):
            for example in split_examples(rows, task, split=split):
                first.setdefault(example.profile.user_id, example)
        train = split_examples(rows, task, split="train")
        known = [example for example in train if example.profile.user_id not in first]
        long = [example for example in first.values() if len(example.profile.items) >= FEWEST]
        return cls(_seen(long, task), _seen(known, task))

    @property
    def strangers(self) -> list[int]:
        """Name for each reported user another one, whose history is about as long; each is a stranger once."""
        order = sorted(range(len(self.reported)), key=lambda at: len(self.reported[at].profile.items))
        after = dict(zip(order, [*order[1:], order[0]], strict=True))
        return [after[at] for at in range(len(self.reported))]


Keep = Callable[[tuple[HistoryItem, ...]], tuple[HistoryItem, ...]]


def showing(examples: Sequence[Example], keep: Keep) -> list[Example]:
    """Give the same queries with a part of each history."""
    return [replace(each, profile=Profile(each.profile.user_id, keep(each.profile.items))) for each in examples]


def latest(examples: Sequence[Example], count: int) -> list[Example]:
    """Give the same queries with the latest items of each history; 0 for all of them."""
    return showing(examples, lambda items: items[-count:])


def random_halves(examples: Sequence[Example], *, seed: int) -> list[Example]:
    """Give the same queries with a random half of each history, in order."""
    rng = np.random.default_rng(seed)

    def half(items: tuple[HistoryItem, ...]) -> tuple[HistoryItem, ...]:
        kept = rng.choice(len(items), size=(len(items) + 1) // 2, replace=False)
        return tuple(items[at] for at in sorted(kept))

    return showing(examples, half)


def _seen(examples: Sequence[Example], task: Task) -> tuple[Example, ...]:
    return tuple(latest(examples, task.history.max_items))
