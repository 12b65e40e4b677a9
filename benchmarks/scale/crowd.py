"""A crowd asks as Zipf's law has it: what the store and the server's memory of histories do with it, at four sizes."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float

from benchmarks.scale.filling import Crowd, fill
from benchmarks.scale.zipf import EXPONENT, ZipfUsers
from benchmarks.speed import memory
from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row
from benchmarks.speed.turns import timed
from personaplug.serving.engine.history_cache import HistoryCache
from personaplug.serving.engine.metrics import Metrics
from personaplug.store.persona_store import PersonaStore

SIZES, TOYS = (10_000, 100_000, 1_000_000, 3_000_000), (100, 200, 400)
ITEMS = 4
KEPT = (0.01, 0.1)
"""Shares of the users for whom memory has room."""
BETWEEN = (10, 100, 1_000)
"""Requests from one change of the store to the next."""
_FETCHES, _COLD, _WARMING, _COUNTED = 20_000, 300, 3, 100_000
_REQUESTS_A_USER = 0.1
"""Requests counted, at least, per user where nothing changes. Twice as many come before, to fill the memory."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What was found in memory.

    Attributes:
        rate: The share of requests.
        kept: Histories that memory held in the end.
    """

    rate: float
    kept: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a process saw that answered a crowd.

    Attributes:
        p50_ms: Half of the fetches of a whole history with its vectors took at most so long, out of the page cache.
        p99_ms: 99 of 100 did.
        cpu_p50_ms: The first of the processor's time, to which it does not matter who else wants it.
        cpu_p99_ms: The second, likewise.
        cold_p50_ms: The same of users whose pages were dropped from the page cache just before.
        cold_p99_ms: The second of those.
        resident_mb: What the process held in the end, its largest memory of histories among it.
        hits: By ``kept SHARE`` where nothing changes, by ``changed REQUESTS`` where the store changes after so many.
    """

    p50_ms: float
    p99_ms: float
    cpu_p50_ms: float
    cpu_p99_ms: float
    cold_p50_ms: float
    cold_p99_ms: float
    resident_mb: float
    hits: dict[str, Hits]


def measure(effort: Effort, sizes: Sequence[int] = (), skew: float = EXPONENT) -> Iterator[Row]:
    """Measure crowds of these sizes, or of all; the largest takes half an hour, 4 GB of disk and 3 GB of memory."""
    counted = 1_000 if effort.is_quick else _COUNTED
    for users in sizes or (TOYS if effort.is_quick else SIZES):
        yield crowd_row(users, requests=max(counted, int(_REQUESTS_A_USER * users)), skew=skew)


def crowd_row(users: int, *, requests: int, skew: float = EXPONENT) -> Row:
    """Fill a store, and answer requests out of it in a process of its own."""
    crowd = Crowd(users, ITEMS)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        filled = timed(partial(_fill, path, crowd)).wall
        size = path.stat().st_size
        seen = memory.run_isolated(watch, path, crowd, requests, skew)
    details = {name: value for name, value in asdict(seen).items() if name != "hits"}
    for name, hits in seen.hits.items():
        details |= {f"hits, {name}": hits.rate, f"histories, {name}": hits.kept}
    words = f"{ITEMS} items of {crowd.dim} dimensions a user, Zipf {skew}, SQLite"
    details |= {"bytes_a_user": size / users, "fill_seconds": filled, "users": users, "requests": requests}
    name = f"crowd of {users:,}" if skew == EXPONENT else f"crowd that asks by Zipf {skew}, of {users:,}"
    return Row(name, words, seen.p99_ms, "ms at p99", None, details)


def watch(path: Path, crowd: Crowd, requests: int, skew: float = EXPONENT) -> Seen:
    """Answer a crowd out of a store, with memory of several sizes."""
    zipf = ZipfUsers(crowd.users, skew)
    asked = zipf.requests(_WARMING * requests).tolist()
    with PersonaStore.open(path) as store:
        clock, processor = fetches(store, crowd, asked[:_FETCHES]).T
        hits = {f"kept {share:.0%}": answer(store, crowd, asked, room=share * crowd.users) for share in KEPT}
        resident = memory.resident()
        few = asked[: min(requests, _COUNTED)]
        hits |= {f"changed {each}": answer(store, crowd, few, between=each) for each in BETWEEN}
    cold = cold_fetches(path, crowd, asked[-_COLD:])
    quantiles = (float(each) for times in (clock, processor, cold) for each in np.quantile(times, (0.5, 0.99)))
    return Seen(*quantiles, resident, hits)


def answer(
    store: PersonaStore, crowd: Crowd, asked: Sequence[int], *, room: float | None = None, between: int | None = None
) -> Hits:
    """Send requests through the server's own memory of histories, and count what it counts itself.

    Args:
        store: Holds the crowd.
        crowd: Whose it is.
        asked: Users in the order of their requests. Without changes the last third of them is counted.
        room: Histories for which memory has room; None for any number.
        between: Requests from one change of the store to the next; None where it never changes.
    """
    metrics = Metrics()
    room = crowd.users if room is None else room
    cache = HistoryCache(store, capacity=int(room * _bytes_of_one(store, crowd, metrics)), metrics=metrics)
    first = 0 if between else len(asked) * 2 // 3
    found = 0.0
    for number, user in enumerate(asked):
        if between and number % between == 0:
            store.append(f"tells {between}", [crowd.item(0, number)], np.ones((1, crowd.views, crowd.dim)))
        cache.refresh()
        if number == first:
            found = _hits(metrics)
        cache.vectors(cache.get(crowd.name(user)))
    cache.refresh()
    return Hits((_hits(metrics) - found) / (len(asked) - first), int(_sample(metrics, "personaplug_personas")))


def fetches(store: PersonaStore, crowd: Crowd, asked: Sequence[int]) -> Float[np.ndarray, "requests 2"]:
    """Fetch histories with their vectors past all memory of our own; give ms of the clock and of the processor."""
    spent = [timed(partial(_fetch, store, crowd.name(user))) for user in asked]
    return np.array([(1000 * each.wall, 1000 * each.cpu) for each in spent])


def cold_fetches(path: Path, crowd: Crowd, asked: Sequence[int]) -> Float[np.ndarray, " requests"]:
    """Do the same where the system has dropped the file's pages before each fetch; give ms of the clock."""
    spent = []
    with path.open("rb") as file:
        os.fsync(file.fileno())  # pages that are still to be written are not dropped
        for user in asked:
            with PersonaStore.open(path) as store:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                spent.append(fetches(store, crowd, [user])[0, 0])
    return np.array(spent)


def _fetch(store: PersonaStore, name: str) -> None:
    store.vectors(store.get(name))


def _fill(path: Path, crowd: Crowd) -> None:
    with PersonaStore.open(path, layout=crowd.layout) as store:
        fill(store, crowd)


def _bytes_of_one(store: PersonaStore, crowd: Crowd, metrics: Metrics) -> int:
    """Say what one history takes in memory, by the memory's own count; all of a crowd's are of one size."""
    cache = HistoryCache(store, metrics=metrics)
    cache.get(crowd.name(0))
    return cache._size


def _hits(metrics: Metrics) -> float:
    return _sample(metrics, "personaplug_persona_lookups_total", result="hit")


def _sample(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0
