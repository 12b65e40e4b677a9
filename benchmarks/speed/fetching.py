"""Fetch all vectors of one user, warm: in a store as a team has it, and in one of ten million vectors."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.speed import memory
from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row, Target
from benchmarks.speed.turns import timed
from personaplug.records import HistoryItem, Profile
from personaplug.store.base import StoreLayout
from personaplug.store.persona_store import PersonaStore

DIM, ITEMS = 384, 100
_LAYOUT = StoreLayout("none@random", ("{input}",), DIM)
_START = datetime(2024, 1, 1, tzinfo=UTC)
_USERS_AT_ONCE = 200
_WARM = 2_000


@dataclass(frozen=True, slots=True)
class Fetches:
    """What fetching took.

    Attributes:
        p50: Half of the fetches took at most so many ms.
        p99: 99 of 100 fetches took at most so many ms.
        cpu_p99: The same of the processor's time, to which it does not matter who else wants it.
        resident: MB that the process held in the end, interpreter and numpy included.
        fill_seconds: Time to fill the store.
        file_mb: Size of its file in MB.
    """

    p50: float
    p99: float
    cpu_p99: float
    resident: float
    fill_seconds: float
    file_mb: float


def measure(effort: Effort) -> Iterator[Row]:
    """Measure both stores, each read by a process of its own."""
    small, large = (20, 50) if effort.is_quick else (2_000, 100_000)
    yield _fetching(fetches(small), small, target=Target("at most", 0.5))
    crowd = fetches(large)
    yield _fetching(crowd, large, target=Target("at most", 1.0))
    yield Row(f"resident memory, {large * ITEMS:,}", _words(large), crowd.resident, "MB", Target("at most", 300.0))


def _fetching(found: Fetches, users: int, *, target: Target) -> Row:
    name = f"fetching one user's vectors, {users * ITEMS:,}"
    return Row(name, _words(users), found.p99, "ms at p99", target, _details(found))


def fetches(users: int, *, count: int = 5_000) -> Fetches:
    """Fill a store with random vectors and fetch users drawn by lot, each of whom was fetched just before."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        filled = timed(partial(_fill, path, users)).wall
        times, resident = memory.run_isolated(_read, path, users, count)
        size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
    clock, processor = 1000 * np.array(times).T
    p50, p99 = (float(np.quantile(clock, part)) for part in (0.5, 0.99))
    return Fetches(p50, p99, float(np.quantile(processor, 0.99)), resident, filled, size)


def _fill(path: Path, users: int) -> None:
    draw = np.random.default_rng(0)
    with PersonaStore.open(path, layout=_LAYOUT) as store:
        for first in range(0, users, _USERS_AT_ONCE):
            with store.together():
                for user in range(first, min(first + _USERS_AT_ONCE, users)):
                    vectors = draw.standard_normal((ITEMS, 1, DIM), np.float32) / DIM**0.5
                    store.append(f"user-{user}", _items(user), vectors)


def _read(path: Path, users: int, count: int) -> tuple[list[tuple[float, float]], float]:
    """Give what each fetch took, in seconds of the clock and of the processor, and the MB resident in the end."""
    draw = random.Random(1)
    with PersonaStore.open(path) as store:
        warm = draw.sample(range(users), min(users, _WARM))
        for user in warm:
            store.vectors(_profile(user))
        profiles = (_profile(draw.choice(warm)) for _ in range(count))
        times = [timed(partial(store.vectors, profile)) for profile in profiles]
        return [(each.wall, each.cpu) for each in times], memory.resident()


def _profile(user: int) -> Profile:
    return Profile(f"user-{user}", tuple(_items(user)))


def _items(user: int) -> list[HistoryItem]:
    """Make a user's items; all users share their texts, which keeps the filling of a large store short."""
    return [HistoryItem(f"{user}-{at}", f"text {at}", "", _START + timedelta(hours=at)) for at in range(ITEMS)]


def _words(users: int) -> str:
    return f"{users:,} users of {ITEMS} items, {DIM} dimensions, SQLite"


def _details(found: Fetches) -> dict[str, float]:
    return {
        "p50_ms": found.p50,
        "p99_ms": found.p99,
        "cpu_p99_ms": found.cpu_p99,
        "resident_mb": found.resident,
        "fill_seconds": found.fill_seconds,
        "file_mb": found.file_mb,
    }
