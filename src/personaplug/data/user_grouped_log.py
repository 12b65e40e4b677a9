"""A log on disk, user by user, so that some of its queries can be drawn while the rest stays out of memory."""

import random
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from itertools import accumulate, groupby
from operator import itemgetter

from personaplug.data.log import Interaction
from personaplug.data.split import Examples, may_be_asked, queries_of_user, split_examples
from personaplug.data.times import EPOCH, microseconds
from personaplug.records import HistoryItem, Profile
from personaplug.tasks.task import Split, Task

_Row = tuple[bytes, bytes, int, bytes, bytes, str | None, int]

_MAKE = "CREATE TABLE rows (user BLOB, id BLOB, time INTEGER, input BLOB, output BLOB, split TEXT, has_output INTEGER)"
_ADD = "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)"
_ALL = "SELECT * FROM rows ORDER BY user, rowid"
_OF_USER = "SELECT * FROM rows WHERE user = ? ORDER BY rowid"


class UserGroupedLog:
    """The rows of a log in a temporary file of SQLite's, which is gone when it is closed.

    Args:
        held: The open file.
    """

    def __init__(self, held: sqlite3.Connection) -> None:
        self._held = held

    @classmethod
    @contextmanager
    def of(cls, interactions: Iterable[Interaction]) -> "Iterator[UserGroupedLog]":
        """Group a log by user, for a while."""
        with closing(sqlite3.connect("")) as held:  # without a name: on disk, and removed by SQLite itself
            held.execute(_MAKE)
            held.executemany(_ADD, map(_written, interactions))
            held.execute("CREATE INDEX of_user ON rows (user)")
            yield cls(held)

    def users(self) -> Iterator[tuple[str, Iterator[Interaction]]]:
        """Give each user's rows as the log has them, in order of user id; they are read when they are asked for."""
        for user, rows in groupby(self._held.execute(_ALL), key=itemgetter(0)):
            yield _text(user), map(_read, rows)

    def user(self, user_id: str) -> list[Interaction]:
        """Give the rows of one user, as the log has them."""
        return [_read(row) for row in self._held.execute(_OF_USER, [_bytes(user_id)])]

    def draw(self, task: Task, split: Split, count: int | None, *, seed: int) -> Examples:
        """Draw some of a split's examples: those that :meth:`Examples.sample` draws of all. None asks for all.

        One user at a time is in memory while they are counted, and then those whose queries were drawn.

        Raises:
            PersonaPlugError: As for :func:`split_examples`.
        """
        if count is None:
            return split_examples((row for _, rows in self.users() for row in rows), task, split=split)
        asked = ((user, rows) for user, rows in self.users() if may_be_asked(user, task, split=split))
        sizes = {user: len(queries_of_user(rows, task, split=split)[1]) for user, rows in asked}
        total = sum(sizes.values())
        drawn = random.Random(seed).sample(range(total), min(count, total))
        return self._examples(task, split, shares=_shares(sizes, sorted(drawn)))

    def _examples(self, task: Task, split: Split, *, shares: dict[str, list[int]]) -> Examples:
        """Make the examples at these places among each user's own."""
        profiles, queries = [], []
        for owner, (user, places) in enumerate(shares.items()):
            history, mine = queries_of_user(self.user(user), task, split=split, owner=owner)
            profiles.append(Profile(user, history))
            queries += [mine[place] for place in places]
        return Examples(tuple(profiles), tuple(queries), task.history)


def _shares(sizes: dict[str, int], drawn: list[int]) -> dict[str, list[int]]:
    """Hand places among all users' queries, in order, to those whose they are."""
    users, firsts = list(sizes), list(accumulate(sizes.values(), initial=0))
    shares: dict[str, list[int]] = {}
    for place in drawn:
        owner = bisect_right(firsts, place) - 1
        shares.setdefault(users[owner], []).append(place - firsts[owner])
    return shares


def _written(row: Interaction) -> _Row:
    item = row.item
    texts = _bytes(item.input), _bytes(item.output)
    return _bytes(row.user_id), _bytes(item.id), microseconds(item.time), *texts, row.split, row.has_output


def _read(row: _Row) -> Interaction:
    user, item_id, time, read, answered, split, has_output = row
    item = HistoryItem(_text(item_id), _text(read), _text(answered), EPOCH + timedelta(microseconds=time))
    return Interaction(_text(user), item, split, bool(has_output))


def _bytes(text: str) -> bytes:
    """Write text of any signs; the bytes stand in the order of the texts."""
    return text.encode("utf-8", "surrogatepass")


def _text(written: bytes) -> str:
    return written.decode("utf-8", "surrogatepass")
