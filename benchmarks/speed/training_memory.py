"""The memory of a whole training, from the log's file to the trained weights, against the rows of the log."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.speed import memory
from benchmarks.speed.effort import Effort
from benchmarks.speed.language_models import random_t5
from benchmarks.speed.row import Row, Target
from personaplug.backbone.loading import BackboneConfig
from personaplug.data.log import Interaction, read_log, write_log
from personaplug.embedder.encoder import TextEncoder
from personaplug.plug.run import RunConfig, TrainingConfig
from personaplug.store.base import StoreLayout
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import load_task
from personaplug.workflows.train import train

EACH, QUERIES, TASK = 20, 64, "log"
_START = datetime(2024, 1, 1, tzinfo=UTC)
_ROWS_AT_ONCE = 20_000


def measure(effort: Effort) -> list[Row]:
    """Train with the same few queries of a small and of a large log, each in a process of its own."""
    few, many = (1_000, 3_000) if effort.is_quick else (1_000, 1_000_000)
    with TemporaryDirectory() as folder:
        small, large = (_peak(Path(folder) / str(rows), rows) for rows in (few, many))
    words = f"{QUERIES} queries of logs of {few:,} and {many:,} rows, {EACH} rows a user, random T5"
    details = {"small_mb": small, "large_mb": large}
    return [Row("memory while training", words, large / small, "x as much", Target("at most", 1.1), details)]


def _peak(folder: Path, rows: int) -> float:
    folder.mkdir()
    memory.run_isolated(_make, folder, rows)
    return memory.whole_peak_of(_training, folder)


def _training(folder: Path) -> Callable[[], object]:
    settings = TrainingConfig(epochs=1.0, queries=QUERIES, dev_queries=16)
    run = RunConfig(task=TASK, backbone=BackboneConfig(str(folder / "model")), training=settings)
    return lambda: train(run, folder / "log.jsonl", out=folder / "run", store=folder / "store.db")


def _make(folder: Path, rows: int) -> None:
    """Write a log, a store of random vectors for it, and a language model."""
    backbone = random_t5()
    for part in (backbone.model, backbone.tokenizer):
        part.save_pretrained(folder / "model")
    write_log(_rows(rows), folder / "log.jsonl")
    task, encoder = load_task(TASK), TextEncoder.load().freeze()
    layout = StoreLayout(encoder.fingerprint, task.views, encoder.dim)
    with PersonaStore.open(folder / "store.db", layout=layout) as store:
        for some in _cut(read_log(folder / "log.jsonl", task), _ROWS_AT_ONCE):
            _store(some, store)


def _store(rows: list[Interaction], store: PersonaStore) -> None:
    draw = np.random.default_rng(len(rows))
    with store.together():
        for user in _cut(rows, EACH):
            shape = (len(user), len(store.layout.views), store.layout.dim)
            vectors = draw.standard_normal(shape, np.float32) / store.layout.dim**0.5
            store.append(user[0].user_id, [row.item for row in user], vectors)


def _cut(rows: Iterable[Interaction], size: int) -> Iterator[list[Interaction]]:
    stream = iter(rows)
    while some := list(islice(stream, size)):
        yield some


def _rows(count: int) -> Iterator[dict[str, str | None]]:
    for number in range(count):
        user, place = divmod(number, EACH)
        yield {
            "user_id": f"{user:06d}",
            "time": (_START + timedelta(hours=place)).isoformat(),
            "input": f"What does user {user} think of subject {place}? " + "It has been asked before. " * 8,
            "output": f"Of subject {place} much, as ever",
        }
