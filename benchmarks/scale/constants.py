"""What the plan needs and no other benchmark measures: tokens of real texts, the time of BM25, how users differ."""

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

from transformers import AutoTokenizer

from benchmarks.scale.zipf import exponent
from benchmarks.speed.effort import Effort
from benchmarks.speed.logs import DATA
from benchmarks.speed.row import Row
from benchmarks.speed.turns import timed
from personaplug.models.catalog import DEFAULT, model_of
from personaplug.models.places import find
from personaplug.records import HistoryItem
from personaplug.retrieval.bm25 import BM25Retriever

_LOGS = {"git_commits": ("body", "subject"), "acl_papers": ("abstract", "title")}
_START = datetime(2024, 1, 1, tzinfo=UTC)
Columns = tuple[str, str]


def measure(effort: Effort) -> Iterator[Row]:
    """Measure on each real log in ``benchmarks.speed.logs.DATA``."""
    for name, columns in _LOGS.items():
        rows = _read(DATA / f"{name}.jsonl.gz")
        drawn = random.Random(0).sample(rows, 50 if effort.is_quick else 2_000)
        yield _tokens(name, drawn, columns)
        yield _bm25(name, drawn, columns)
        yield _skew(name, [row["user_id"] for row in rows])


def _tokens(name: str, rows: Sequence[dict[str, str]], columns: Columns) -> Row:
    path = find(model_of(DEFAULT))
    assert path, f"personaplug models add {DEFAULT}"
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    texts = [row[column] for row in rows for column in columns]
    tokens = sum(map(len, tokenizer(texts, add_special_tokens=False)["input_ids"]))
    size = sum(len(text.encode()) for text in texts)
    details = {"tokens_an_item": tokens / len(rows), "bytes_an_item": size / len(rows)}
    return Row(f"bytes of a token: {name}", f"{len(rows):,} items, {DEFAULT}", size / tokens, "bytes", None, details)


def _bm25(name: str, rows: Sequence[dict[str, str]], columns: Columns, *, items: int = 100) -> Row:
    first, second = columns
    times = [_START + timedelta(hours=at) for at in range(len(rows))]
    known = [
        HistoryItem(f"{at}", row[first], row[second], time)
        for at, (row, time) in enumerate(zip(rows, times, strict=True))
    ]
    histories = [known[at : at + items] for at in range(0, len(known), items)]
    retriever = BM25Retriever(lambda item: f"{item.input} {item.output}")
    spent = [timed(partial(retriever.rank, history[0].input, history)) for history in histories for _ in range(3)]
    each = 1000 * median(time.cpu for time in spent) / min(items, len(known))
    return Row(f"BM25: {name}", f"{len(histories)} histories of {items} items", each, "ms of CPU an item")


def _skew(name: str, users: Sequence[str]) -> Row:
    counts = list(Counter(users).values())
    details = {"users": len(counts), "items": len(users), "most": max(counts), "median": median(counts)}
    return Row(f"skew of users: {name}", "items a user, the first tenth", exponent(counts), "exponent", None, details)


def _read(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
