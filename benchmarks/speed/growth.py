"""How time and memory grow with users, items a user, batch and prefix length; points are a row's details."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median

from benchmarks.speed import memory
from benchmarks.speed.effort import Effort
from benchmarks.speed.fetching import fetches
from benchmarks.speed.row import Row
from benchmarks.speed.turns import in_turn, timed
from benchmarks.speed.user_embedder import BATCH, Size, our_work, published_work
from benchmarks.speed.world import World, open_world
from personaplug.embedder.embedder_config import PAPER, EmbedderConfig
from personaplug.plug.query_source import QuerySource

Work = Callable[[], object]
_TURNS = 3


def measure(effort: Effort) -> Iterator[Row]:
    """Measure all curves."""
    size = Size(96, 128) if effort.is_quick else Size(768, 2048)
    powers = range(3 if effort.is_quick else 6)
    yield from _against(
        "items", {2 * 4**power: [2 * 4**power] * BATCH for power in powers[:5]}, size=size, effort=effort
    )
    yield from _against("batch", {2**power: [64] * 2**power for power in powers}, size=size, effort=effort)
    with open_world("train", queries=16 if effort.is_quick else 64, is_quick=effort.is_quick) as world:
        yield from _prefixes([2**power for power in powers], size, world=world)
    yield from _users([10, 20] if effort.is_quick else [100, 1_000, 10_000])


def _users(counts: Sequence[int]) -> Iterator[Row]:
    found = {users: fetches(users, count=2_000) for users in counts}
    yield _curve("users", "p50_ms", points={users: each.p50 for users, each in found.items()})
    yield _curve("users", "p99_ms", points={users: each.p99 for users, each in found.items()})
    yield _curve("users", "resident_mb", points={users: each.resident for users, each in found.items()})
    yield _curve("users", "file_mb", points={users: each.file_mb for users, each in found.items()})


def _against(axis: str, lengths: Mapping[int, Sequence[int]], *, size: Size, effort: Effort) -> Iterator[Row]:
    """Measure the user embedder on histories of these lengths, forward and backward, in turn with the published one."""
    turns = {
        at: in_turn(our_work(each, size), published_work(each, size), pairs=effort.pairs)
        for at, each in lengths.items()
    }
    yield _curve(axis, "our_seconds", points={at: median(each.ours) for at, each in turns.items()})
    yield _curve(axis, "published_seconds", points={at: median(each.theirs) for at, each in turns.items()})
    for name, make in {"our": our_work, "published": published_work}.items():
        yield _curve(axis, f"{name}_mb", points={at: memory.peak_of(make, each, size) for at, each in lengths.items()})


def _prefixes(counts: Sequence[int], size: Size, *, world: World) -> Iterator[Row]:
    """Measure the user embedder, and a whole training step on a small language model of random weights."""
    makers = {at: partial(our_work, [64] * BATCH, size, config=replace(PAPER, personas=at)) for at in counts}
    yield _curve("prefix", "embedder_seconds", points={at: _seconds(make()) for at, make in makers.items()})
    yield _curve("prefix", "embedder_mb", points={at: memory.peak_of(make) for at, make in makers.items()})
    steps = {at: _seconds(_step(world, personas=at)) for at in counts}
    yield _curve("prefix", "training_step_seconds", points=steps)


def _step(world: World, *, personas: int) -> Work:
    plug = world.plug(EmbedderConfig(personas=personas), query_source=QuerySource.STORE).train()
    batch = plug.batcher(world.examples[:BATCH])
    return lambda: plug.loss(batch).backward()


def _seconds(work: Work) -> float:
    work()
    return median(timed(work).wall for _ in range(_TURNS))


def _curve(axis: str, name: str, *, points: Mapping[int, float]) -> Row:
    unit = {"seconds": "s", "mb": "MB", "ms": "ms"}[name.rpartition("_")[2]]
    last = max(points)
    details = {str(at): value for at, value in points.items()}
    return Row(
        f"growth/{axis}/{name}", f"the last of {len(points)} points: {last:,}", points[last], unit, None, details
    )
