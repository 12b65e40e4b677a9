"""What an item takes in a store's file beyond its texts and vectors."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.scale.filling import Crowd, fill, fill_by_time
from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row
from personaplug.store.persona_store import PersonaStore

_SHAPES = (
    Crowd(5_000, 10, views=1, dim=16, words=2),
    Crowd(20_000, 10, views=1, dim=16, words=2),
    Crowd(5_000, 10, views=2, dim=16, words=2),
    Crowd(2_000, 20, views=1, dim=384, words=80),
    Crowd(2_000, 20, views=2, dim=384, words=2),
    Crowd(2_000, 20, views=2, dim=384, words=80),
)
_TOYS = (Crowd(20, 2, views=1, dim=4, words=2), Crowd(20, 2, views=2, dim=4, words=2))


def measure(effort: Effort) -> Iterator[Row]:
    """Fill stores of several shapes, in two orders, and weigh their files."""
    for order, filling in {"user by user": fill, "by time": fill_by_time}.items():
        for crowd in _TOYS if effort.is_quick else _SHAPES:
            size = bytes_of_an_item(crowd, filling)
            texts = f"{crowd.views} x {crowd.dim} dimensions, {crowd.words} words"
            words = f"{crowd.users:,} users of {crowd.items} items, {texts}, {order}"
            details = {"own_bytes": crowd.own_bytes, "beyond_bytes": size - crowd.own_bytes}
            yield Row(f"bytes of an item: {words}", "SQLite, random vectors", size, "bytes", None, details)


def bytes_of_an_item(crowd: Crowd, filling: Callable[[PersonaStore, Crowd], None]) -> float:
    """Fill a store and divide its file by its items."""
    with TemporaryDirectory() as folder:
        with PersonaStore.open(Path(folder) / "store.db", layout=crowd.layout) as store:
            filling(store, crowd)
        return sum(file.stat().st_size for file in Path(folder).iterdir()) / (crowd.users * crowd.items)
