"""Index a LaMP file in which each user asks five questions, against encoding each question's history anew."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.paper_faithful import encode_histories
from benchmarks.speed.effort import Effort
from benchmarks.speed.logs import open_log
from benchmarks.speed.row import Row, Target
from benchmarks.speed.turns import in_turn
from personaplug.data.lamp import read_lamp
from personaplug.data.log import read_log, write_log
from personaplug.embedder.encoder import TextEncoder
from personaplug.records import Example, HistoryItem, Profile
from personaplug.store.base import StoreLayout
from personaplug.store.indexing import index
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Task, load_task

QUESTIONS = 5
_TIME = datetime(2024, 1, 1, tzinfo=UTC)


def measure(effort: Effort) -> list[Row]:
    """Measure from the file to the vectors; both sides encode the items' inputs alone, with one encoder."""
    log = open_log("acl_papers.jsonl.gz", "acl-title", is_quick=effort.is_quick)
    profiles = [profile for profile in log.examples("train").profiles if len(profile.items) > QUESTIONS]
    profiles = profiles[: 3 if effort.is_quick else 10]
    task = replace(load_task("lamp-5"), views=("{input}",))
    encoder = TextEncoder.load(device="cpu").freeze()
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write_lamp(profiles, folder)
        ours, theirs = _our_work(folder, task, encoder=encoder), _published_work(folder, task, encoder=encoder)
        turns = in_turn(ours, theirs, pairs=effort.pairs)
    items = sum(len(profile.items) - QUESTIONS for profile in profiles)
    words = f"{len(profiles)} users of {log.name}, {QUESTIONS} questions each, {items:,} items"
    row = Row("indexing a log", words, median(turns.ratios), "x", Target("at least", 4.0), turns.details())
    return [row]


def _write_lamp(profiles: Sequence[Profile], folder: Path) -> None:
    number = count()
    questions = [
        {
            "id": str(next(number)),
            "input": f'Generate a title for the following abstract of a paper: {question.input}',
            "profile": [_entry(item) for item in profile.items[:-QUESTIONS]],
        }
        for profile in profiles
        for question in profile.items[-QUESTIONS:]
    ]  # fmt: skip
    # Of test, where answers are not known: else the questions would be items, which one side alone encodes.
    (folder / "test_questions.json").write_text(json.dumps(questions), encoding="utf-8")


def _entry(item: HistoryItem) -> dict[str, str]:
    return {"id": item.id, "abstract": item.input, "title": item.output}


def _our_work(folder: Path, task: Task, *, encoder: TextEncoder) -> Callable[[], object]:
    numbers = count()

    def work() -> None:
        place = folder / f"ours-{next(numbers)}"
        write_log(read_lamp(folder / "test_questions.json", "lamp-5"), place.with_suffix(".jsonl"))
        layout = StoreLayout(encoder.fingerprint, task.views, encoder.dim)
        with PersonaStore.open(place.with_suffix(".db"), layout=layout) as store:
            index(
                read_log(place.with_suffix(".jsonl"), task), store, encode=lambda texts: encoder.encode(texts).numpy()
            )

    return work


def _published_work(folder: Path, task: Task, *, encoder: TextEncoder) -> Callable[[], object]:
    def work() -> None:
        questions = json.loads((folder / "test_questions.json").read_text(encoding="utf-8"))
        encode_histories([_example(question) for question in questions], task, encoder=encoder)

    return work


def _example(question: Mapping[str, object]) -> Example:
    entries: Sequence[Mapping[str, str]] = question["profile"]  # type: ignore[assignment]
    items = [HistoryItem(entry["id"], entry["abstract"], entry["title"], _TIME) for entry in entries]
    return Example(str(question["id"]), Profile("", tuple(items)), str(question["input"]), None, _TIME)
