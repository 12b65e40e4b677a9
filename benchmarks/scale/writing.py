"""How many items a second a store's one writer stores, when others have encoded their texts."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float32

from benchmarks.scale.filling import Crowd
from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row
from benchmarks.speed.turns import Time, timed
from personaplug.data.log import Interaction
from personaplug.store.indexing import BATCH_TEXTS, index
from personaplug.store.persona_store import PersonaStore

CROWD, _TOY = Crowd(500, 100, views=2, dim=384, words=80), Crowd(10, 2, views=2, dim=4, words=2)


def measure(effort: Effort) -> Iterator[Row]:
    """Index a log whose texts and vectors are made before the clock runs."""
    crowd = _TOY if effort.is_quick else CROWD
    with TemporaryDirectory() as folder, PersonaStore.open(Path(folder) / "store.db", layout=crowd.layout) as store:
        spent, stored = indexed(store, crowd), store.count()
    words = f"{crowd.users} users of {crowd.items} items, {crowd.views} x {crowd.dim} dimensions, {crowd.words} words"
    details = {"seconds": spent.wall, "cpu_seconds": spent.cpu, "items_a_cpu_second": stored / spent.cpu}
    yield Row("storing an index", f"SQLite, {words}", stored / spent.wall, "items/s", None, details)


def indexed(store: PersonaStore, crowd: Crowd) -> Time:
    """Index a crowd's log into an empty store."""
    log, vectors = list(_log(crowd)), _drawn(BATCH_TEXTS, dim=crowd.dim)
    return timed(partial(index, log, store, encode=lambda texts: vectors[: len(texts)]))


def _log(crowd: Crowd) -> Iterator[Interaction]:
    return (
        Interaction(crowd.name(user), crowd.item(user, at)) for at in range(crowd.items) for user in range(crowd.users)
    )


def _drawn(count: int, *, dim: int) -> Float32[np.ndarray, "count dim"]:
    vectors = np.random.default_rng(0).standard_normal((count, dim), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
