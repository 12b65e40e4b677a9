"""What a log holds, seen through a task, and whether its splits leak into each other.

Texts are kept as 16-byte hashes, so that a log is audited in a few hundred bytes a row, however long its texts are.
"""

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import mean, median
from typing import get_args
from unicodedata import normalize

from personaplug.data.log import Interaction
from personaplug.data.split import Examples, first_of_each_id, split_examples
from personaplug.tasks.task import Split, Task


@dataclass(frozen=True, slots=True)
class Lengths:
    """How some counts are spread, 90% of them being at most ``p90``; all zero where there are none."""

    min: int
    median: float
    mean: float
    p90: int
    max: int


@dataclass(frozen=True, slots=True)
class SplitAudit:
    """One split of a task.

    Attributes:
        split: Which.
        queries: Its examples.
        unanswered: Those whose answer is not known.
        users: Who is asked.
        history: How many earlier items the queries see.
        own_answer_in_history: Queries whose input and output both stand in their own history.
        inputs_also_in_train: Queries whose input is also that of a query of train.
        users_also_in_train: Users who are asked in train too: expected of a split by time, a leak in one by user.
    """

    split: Split
    queries: int
    unanswered: int
    users: int
    history: Lengths
    own_answer_in_history: int
    inputs_also_in_train: int
    users_also_in_train: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What a log holds.

    Attributes:
        task: The task it was read through.
        rows: How many rows could be read.
        users: How many users they are of.
        users_alike: Users whose id is another's but for case, blanks around it or its Unicode form; they stay apart.
        first: The earliest time, ISO 8601.
        last: The latest time, ISO 8601.
        rows_per_user: How they are spread.
        repeated_ids: Rows whose id the same user had before.
        repeated_rows: Rows whose input and output the same user had before.
        blank_inputs: Rows whose input is empty.
        blank_outputs: Rows whose output is known and empty.
        not_labels: Answers, histories aside, that are none of the task's labels.
        splits: Train, dev and test.
    """

    task: str
    rows: int
    users: int
    users_alike: int
    first: str
    last: str
    rows_per_user: Lengths
    repeated_ids: int
    repeated_rows: int
    blank_inputs: int
    blank_outputs: int
    not_labels: int
    splits: tuple[SplitAudit, ...]


def audit(interactions: Iterable[Interaction], task: Task) -> Audit:
    """Count what a log holds and where its splits leak; ``interactions`` must hold at least one."""
    tally = _Tally(task)
    rows = list(tally.hashed(interactions))
    per_user: defaultdict[str, list[Interaction]] = defaultdict(list)
    for row in rows:
        per_user[row.user_id].append(row)
    return Audit(
        task=task.name,
        rows=len(rows),
        users=len(per_user),
        users_alike=_repeats([normalize("NFC", user.strip().casefold()) for user in per_user]),
        first=min(row.item.time for row in rows).isoformat(),
        last=max(row.item.time for row in rows).isoformat(),
        rows_per_user=_lengths([len(mine) for mine in per_user.values()]),
        repeated_ids=sum(_repeats([row.item.id for row in mine]) for mine in per_user.values()),
        repeated_rows=sum(_repeats([(row.item.input, row.item.output) for row in mine]) for mine in per_user.values()),
        blank_inputs=tally.blank_inputs,
        blank_outputs=tally.blank_outputs,
        not_labels=tally.not_labels,
        splits=_audit_splits(rows, task),
    )


@dataclass(slots=True)
class _Tally:
    """Counts what only the texts themselves show, while they pass."""

    task: Task
    blank_inputs: int = 0
    blank_outputs: int = 0
    not_labels: int = 0

    def hashed(self, interactions: Iterable[Interaction]) -> Iterator[Interaction]:
        """Count, and put hashes in the place of the texts."""
        for row in interactions:
            item = row.item
            is_answer = row.has_output and row.split != "history"
            self.blank_inputs += not item.input.strip()
            self.blank_outputs += row.has_output and not item.output.strip()
            self.not_labels += bool(self.task.labels) and is_answer and item.output.strip() not in self.task.labels
            yield replace(row, item=replace(item, input=_hash(item.input), output=_hash(item.output)))


def _audit_splits(rows: Sequence[Interaction], task: Task) -> tuple[SplitAudit, ...]:
    """Look into the splits; of different things under one id, which no split would take, the first counts."""
    taken = list(first_of_each_id(rows, on_clash=lambda _: None))
    splits = {split: split_examples(taken, task, split=split) for split in get_args(Split)}
    return tuple(_audit_split(split, examples, train=splits["train"]) for split, examples in splits.items())


def _audit_split(split: Split, examples: Examples, *, train: Examples) -> SplitAudit:
    asked = {profile.user_id for profile in examples.profiles}
    is_train = split == "train"
    train_inputs = set() if is_train else {query.item.input for query in train.queries}
    train_users = set() if is_train else {profile.user_id for profile in train.profiles}
    return SplitAudit(
        split=split,
        queries=len(examples),
        unanswered=sum(not query.has_output for query in examples.queries),
        users=len(asked),
        history=_lengths([query.stop - query.start for query in examples.queries]),
        own_answer_in_history=_own_answers_seen(examples),
        inputs_also_in_train=sum(query.item.input in train_inputs for query in examples.queries),
        users_also_in_train=len(asked & train_users),
    )


def _own_answers_seen(examples: Examples) -> int:
    """Count the queries that see an item with their own input and output."""
    places: list[defaultdict[tuple[str, str], list[int]]] = []
    for profile in examples.profiles:
        places.append(defaultdict(list))
        for position, item in enumerate(profile.items):
            places[-1][item.input, item.output].append(position)
    seen = 0
    for query in examples.queries:
        same = places[query.owner].get((query.item.input, query.item.output), [])
        first = bisect_left(same, query.start)
        seen += query.has_output and first < len(same) and same[first] < query.stop
    return seen


def _lengths(counts: Sequence[int]) -> Lengths:
    if not counts:
        return Lengths(min=0, median=0.0, mean=0.0, p90=0, max=0)
    ordered = sorted(counts)
    p90 = ordered[(9 * len(ordered) + 9) // 10 - 1]  # the nearest rank
    return Lengths(ordered[0], float(median(ordered)), float(mean(ordered)), p90, ordered[-1])


def _repeats(values: Sequence[object]) -> int:
    return len(values) - len(set(values))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
