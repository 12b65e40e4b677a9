"""Users for a store of any size: few short items each, of random vectors, in the order in which a log has them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from personaplug.records import HistoryItem
from personaplug.store.base import StoreLayout
from personaplug.store.persona_store import PersonaStore

_START = datetime(2024, 1, 1, tzinfo=UTC)
_APPENDS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who is in a store.

    Attributes:
        users: How many.
        items: Of each.
        views: Texts of an item.
        dim: Of a vector.
        words: Of an item's input; no two items have the same.
    """

    users: int
    items: int
    views: int = 1
    dim: int = 16
    words: int = 2

    @property
    def layout(self) -> StoreLayout:
        """What the store is made of."""
        return StoreLayout("none@random", ("{input}", "{output}")[: self.views], self.dim)

    @property
    def own_bytes(self) -> float:
        """Bytes of an item's texts and vectors alone, in the mean."""
        middle = self.item(self.users // 2, self.items // 2)
        return len(middle.input) + len(middle.output) + 2 * self.views * self.dim

    def name(self, user: int) -> str:
        """Name a user."""
        return f"user-{user}"

    def item(self, user: int, at: int) -> HistoryItem:
        """Make one item of a user; those of all users are of one length."""
        text = " ".join(f"{user:07}.{at}.{word}" for word in range(self.words))
        return HistoryItem(f"{user}-{at}", text, f"said {user:07}.{at}", _START + timedelta(hours=at))


def fill(store: PersonaStore, crowd: Crowd) -> None:
    """Append each user's history as a whole, one user after the other."""
    _append(store, crowd, ((user, range(crowd.items)) for user in range(crowd.users)))


def fill_by_time(store: PersonaStore, crowd: Crowd) -> None:
    """Append every user's first item, then every user's second, and so on, as a log in the order of time has them."""
    _append(store, crowd, ((user, (at,)) for at in range(crowd.items) for user in range(crowd.users)))


def _append(store: PersonaStore, crowd: Crowd, histories: Iterator[tuple[int, range | tuple[int, ...]]]) -> None:
    draw = np.random.default_rng(0)
    histories = iter(histories)
    while True:
        with store.together():
            for _ in range(_APPENDS_AT_ONCE):
                user, places = next(histories, (None, ()))
                if user is None:
                    return
                items = [crowd.item(user, at) for at in places]
                vectors = draw.standard_normal((len(items), crowd.views, crowd.dim), np.float32)
                store.append(crowd.name(user), items, vectors)
