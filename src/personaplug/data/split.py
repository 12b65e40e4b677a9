"""From a log to examples: who is asked what, and what of them may be seen.

A history holds what the same user did strictly before the query, less the task's embargo; never the query itself. What
was done at one moment (a day, a year) stands in the order of the log's rows, which is often all that is known of it.
"""

import hashlib
import random
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import overload

from personaplug.data.log import Interaction
from personaplug.data.times import microseconds
from personaplug.errors import ConfigError, RepeatedIdError
from personaplug.records import Example, HistoryItem, Profile
from personaplug.tasks.task import HistoryRules, Split, Task, start_of

_NOT_LATER: dict[Split, tuple[Split, ...]] = {
    "train": ("train",),
    "dev": ("train", "dev"),
    "test": ("train", "dev", "test"),
}


@dataclass(frozen=True, slots=True)
class Query:
    """A question and the slice of a profile that it may see.

    Attributes:
        item: The question with its answer, if known.
        has_output: Whether the answer is known.
        owner: Which profile: a position in :attr:`Examples.profiles`.
        start: First item of the profile that is seen.
        stop: One past the last item that is seen.
    """

    item: HistoryItem
    has_output: bool
    owner: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class Examples(Sequence[Example]):
    """Examples built when they are asked for: each user's items are kept once, each example as a few numbers.

    Attributes:
        profiles: Everything each user did, in order of user id.
        queries: In order of user id and time, those of one moment in the order of the log.
        history: The rules the slices were cut by.
    """

    profiles: tuple[Profile, ...]
    queries: tuple[Query, ...]
    history: HistoryRules

    def __len__(self) -> int:
        return len(self.queries)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> "Examples": ...
    def __getitem__(self, index: int | slice) -> "Example | Examples":
        if isinstance(index, slice):
            return replace(self, queries=self.queries[index])
        query = self.queries[index]
        owner = self.profiles[query.owner]
        return Example(
            id=query.item.id,
            profile=Profile(owner.user_id, owner.items[query.start : query.stop]),
            input=query.item.input,
            target=query.item.output if query.has_output else None,
            time=query.item.time,
        )

    def subset(self, indices: Iterable[int]) -> "Examples":
        """Keep the examples at these positions, in this order."""
        return replace(self, queries=tuple(self.queries[index] for index in indices))

    def sample(self, count: int, *, seed: int) -> "Examples":
        """Draw ``count`` examples without replacement, order kept; all of them where there are no more."""
        chosen = random.Random(seed).sample(range(len(self)), min(count, len(self)))
        return self.subset(sorted(chosen))


def split_examples(interactions: Iterable[Interaction], task: Task, *, split: Split) -> Examples:
    """Make one split's examples of a log, whose rows may come in any order, save that those of one moment keep theirs.

    Rows marked ``history`` are never queries. In a split by column, where a user has such rows, the user's histories
    hold them alone; where not, they hold no row of a later split, so that training sees nothing of dev and test. A
    question whose answer is not known is a query of the test split alone, its target None, and is in no history.
    Queries with fewer than ``task.history.min_items`` earlier items are left out, and so are users without queries. A
    row that stands twice in the log counts once.

    Raises:
        ConfigError: The task splits by ``hex-user`` and a user id is no hexadecimal number.
        RepeatedIdError: A user has two different rows of one id.
    """
    profiles: list[Profile] = []
    queries: list[Query] = []
    for user_id, rows in sorted(_by_user(interactions, task, split=split).items()):
        history, mine = queries_of_user(rows, task, split=split, owner=len(profiles))
        if mine:
            queries += mine
            profiles.append(Profile(user_id, history))
    return Examples(tuple(profiles), tuple(queries), task.history)


def queries_of_user(
    rows: Iterable[Interaction], task: Task, *, split: Split, owner: int = 0
) -> tuple[tuple[HistoryItem, ...], list[Query]]:
    """Give the history of one user, of whom all rows are here, and the user's queries in a split.

    Args:
        rows: In any order, save that those of one moment keep theirs.
        task: Says what may be seen.
        split: Of the queries.
        owner: Written into the queries.

    Raises:
        ConfigError: As for :func:`split_examples`.
        RepeatedIdError: Two different rows have one id.
    """
    rows = list(dict.fromkeys(first_of_each_id(sorted(rows, key=_moment), on_clash=_refuse)))
    history = _history(rows, task, split=split)
    mine = [query for query, where in _assigned(rows, history, task=task, owner=owner) if where == split]
    items = tuple(row.item for row in history)
    return items, [query for query in mine if query.has_output or split == "test"]


def first_of_each_id(rows: Iterable[Interaction], *, on_clash: Callable[[Interaction], None]) -> Iterator[Interaction]:
    """Pass on rows, save those whose user has answered something else under their id: what a history saw would be open.

    Args:
        rows: Of one user or of many.
        on_clash: Told of each row that is not passed on.
    """
    first: dict[tuple[str, str], HistoryItem] = {}
    for row in rows:
        if row.has_output and first.setdefault((row.user_id, row.item.id), row.item) != row.item:
            on_clash(row)
        else:
            yield row


def visible_items(times: Sequence[int], query_time: int, *, embargo: timedelta) -> int:
    """Count the items strictly before a query less the embargo; times in microseconds, sorted."""
    return bisect_left(times, query_time - embargo // timedelta(microseconds=1))


def user_split(user_id: str, task: Task) -> Split:
    """Give the split of a user, for tasks that split by user.

    Raises:
        ConfigError: The task splits by ``hex-user`` and the id is no hexadecimal number.
    """
    if task.split.by == "hex-user" and not re.fullmatch("[0-9a-fA-F]+", user_id):
        raise ConfigError(
            f"task {task.name!r} splits by hex-user, but the user id {user_id[:40]!r} is not hexadecimal",
            hint='set by = "user" under [split] in the task file',
        )
    if task.split.by == "hex-user":
        number = int(user_id, 16)
    else:
        number = int.from_bytes(hashlib.sha256(user_id.encode()).digest()[:8], "big")
    return {0: "test", 1: "dev"}.get(number % 10, "train")  # type: ignore[return-value]


def may_be_asked(user_id: str, task: Task, *, split: Split) -> bool:
    """Tell whether a user may have queries in a split, as far as the user's id says.

    Raises:
        ConfigError: As for :func:`user_split`.
    """
    return task.split.by not in ("user", "hex-user") or user_split(user_id, task) == split


def _by_user(interactions: Iterable[Interaction], task: Task, *, split: Split) -> dict[str, list[Interaction]]:
    """Collect each user's rows; of users who are all in another split, nothing is kept."""
    wanted: dict[str, bool] = {}
    users: defaultdict[str, list[Interaction]] = defaultdict(list)
    for row in interactions:
        if row.user_id not in wanted:
            wanted[row.user_id] = may_be_asked(row.user_id, task, split=split)
        if wanted[row.user_id]:
            users[row.user_id].append(row)
    return users


def _refuse(row: Interaction) -> None:
    raise RepeatedIdError(row.user_id, row.item.id)


def _history(rows: Sequence[Interaction], task: Task, *, split: Split) -> list[Interaction]:
    """Pick what a user's histories of one split may hold: answered rows that the log's own split lets it see."""
    answered = [row for row in rows if row.has_output]
    if task.split.by != "column":
        return answered
    marked = [row for row in answered if row.split == "history"]
    return marked or [row for row in answered if row.split in _NOT_LATER[split]]


def _assigned(
    rows: Sequence[Interaction], history: Sequence[Interaction], *, task: Task, owner: int
) -> Iterator[tuple[Query, str | None]]:
    """Pair each query of one user that has enough history with its split."""
    times = [microseconds(row.item.time) for row in history]
    eligible: list[tuple[Interaction, Query]] = []
    for row in rows:
        stop = visible_items(times, microseconds(row.item.time), embargo=task.history.embargo)
        if row.split != "history" and stop >= task.history.min_items:
            eligible.append((row, Query(row.item, row.has_output, owner, task.first_shown(stop), stop)))
    for position, (row, query) in enumerate(eligible):
        yield query, _split_of(row, task, later=len(eligible) - 1 - position)


def _split_of(row: Interaction, task: Task, *, later: int) -> str | None:
    """Give the split of a query after which the user has ``later`` more."""
    match task.split.by:
        case "column":
            return row.split
        case "latest":
            return ("test", "dev", "train")[min(later, 2)]
        case "time":
            return _period(row, task)
        case _:
            return user_split(row.user_id, task)


def _period(row: Interaction, task: Task) -> Split:
    assert task.split.dev_from is not None
    assert task.split.test_from is not None
    if row.item.time >= start_of(task.split.test_from):
        return "test"
    return "dev" if row.item.time >= start_of(task.split.dev_from) else "train"


def _moment(row: Interaction) -> datetime:
    return row.item.time
