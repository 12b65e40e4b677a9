"""Append to a store, fetch from it, and index into it, in Postgres and in SQLite's file in turn, with the same users.

python -m benchmarks.postgres postgresql://user@host/database?schema=speed    # a schema that is not there yet
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from benchmarks.scale.writing import CROWD, indexed
from personaplug.records import HistoryItem
from personaplug.store.address import PostgresUrl
from personaplug.store.base import StoreLayout
from personaplug.store.copying import copy
from personaplug.store.persona_store import PersonaStore

ITEMS, VIEWS, DIM = 100, 2, 384
_LAYOUT = StoreLayout("none@random", ("{input}", "{output}"), DIM)
_START = datetime(2024, 1, 1, tzinfo=UTC)
_USERS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Latency:
    """What one kind of work took, in ms.

    Attributes:
        p50: Half of the calls took at most so many.
        p99: 99 of 100 calls took at most so many.
    """

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Latency":
        """Take the quantiles."""
        p50, p99 = (1000 * float(np.quantile(seconds, part)) for part in (0.5, 0.99))
        return cls(p50, p99)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="of a store in Postgres, which is made; SCHEMA_index is too")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=1000)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        _measure(Path(folder) / "store.db", options.address, users=options.users, calls=options.calls)
        url = PostgresUrl.read(options.address)
        for kind, address in (
            ("SQLite", Path(folder) / "index.db"),
            ("Postgres", replace(url, schema=f"{url.schema}_index")),
        ):
            with PersonaStore.open(address, layout=CROWD.layout) as store:
                spent = indexed(store, CROWD)
                rate = store.count() / spent.wall
            print(f"index, of texts encoded before: {kind} {rate:,.0f} items a second")  # noqa: T201


def _measure(path: Path, address: str, *, users: int, calls: int) -> None:
    with PersonaStore.open(path, layout=_LAYOUT) as file, PersonaStore.open(address, layout=_LAYOUT) as postgres:
        began = perf_counter()
        _fill(file, users)
        filled = perf_counter() - began
        copied = copy(file, postgres)
        print(f"{copied.items:,} items of {users:,} users: filled in {filled:.0f} s, ", end="")  # noqa: T201
        print(f"copied and compared in {perf_counter() - began - filled:.0f} s")  # noqa: T201
        for name, work in _works(users).items():
            times: dict[str, list[float]] = {"SQLite": [], "Postgres": []}
            for number in range(calls):  # in turn, so that whatever else the machine does falls on both
                for kind, store in (("SQLite", file), ("Postgres", postgres)):
                    times[kind].append(_timed(work, store, number))
            sqlite, other = (Latency.of(seconds) for seconds in times.values())
            print(  # noqa: T201
                f"{name}: SQLite {sqlite.p50:.3f} ms (p99 {sqlite.p99:.2f}), Postgres {other.p50:.2f} ms "
                f"(p99 {other.p99:.2f}), {other.p50 / sqlite.p50:.1f} times"
            )


def _works(users: int) -> dict[str, Callable[[PersonaStore, int], object]]:
    vectors = _vectors(np.random.default_rng(1), 1)
    drawn = random.Random(0).choices(range(users), k=100_000)

    def append(store: PersonaStore, number: int) -> object:
        item = HistoryItem(f"new-{number}", f"text {number}", "said", _START + timedelta(days=900))
        return store.append(f"user-{drawn[number]}", [item], vectors)

    return {
        "version": lambda store, _: store.version,
        "get": lambda store, number: store.get(f"user-{drawn[number]}"),
        "get, then vectors": lambda store, number: store.vectors(store.get(f"user-{drawn[number]}")),
        "append of one item": append,
    }


def _timed(work: Callable[[PersonaStore, int], object], store: PersonaStore, number: int) -> float:
    began = perf_counter()
    work(store, number)
    return perf_counter() - began


def _fill(store: PersonaStore, users: int) -> None:
    draw = np.random.default_rng(0)
    for first in range(0, users, _USERS_AT_ONCE):
        with store.together():
            for user in range(first, min(first + _USERS_AT_ONCE, users)):
                store.append(f"user-{user}", _items(user), _vectors(draw, ITEMS))


def _items(user: int) -> list[HistoryItem]:
    return [
        HistoryItem(f"{user}-{at}", f"what {user} read, {at} " * 5, f"said {at}", _START + timedelta(hours=at))
        for at in range(ITEMS)
    ]


def _vectors(draw: np.random.Generator, items: int) -> np.ndarray:
    return draw.standard_normal((items, VIEWS, DIM), np.float32) / DIM**0.5


if __name__ == "__main__":
    main()
