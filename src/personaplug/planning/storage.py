"""What lies on disk for all users."""

from dataclasses import dataclass

from personaplug.planning.constants import Constants
from personaplug.planning.ways import Way, has_store, has_vectors
from personaplug.planning.workload import Workload

_BYTES_A_NUMBER = 2
_BYTES_A_TRAINED_WEIGHT = 4
"""Vectors are kept in float16, trained weights in float32."""
_COPIES_IN_A_FORGET = 2
"""One in a temporary file, one in the write-ahead log: measured, 1.8 times a store of SQLite of 69 MB."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes on disk.

    Attributes:
        texts: What users read and wrote.
        vectors: What the encoder made of it.
        rows: What a store adds: keys, hashes, indexes, pages that are not full.
        adapters: Of all users.
        total: All of these.
        spare: Free space that a forget takes, for as long as it writes the store anew.
    """

    texts: float
    vectors: float
    rows: float
    adapters: float
    total: float
    spare: float


def storage_of(way: Way, load: Workload, known: Constants) -> Storage:
    """Weigh what one way keeps."""
    texts, vectors = load.all_items * text_bytes(load, known), load.all_items * vector_bytes(way, load)
    rows = _rows(way, load, known=known, texts=texts, vectors=vectors) if has_store(way) else 0.0
    adapters = load.users * adapter_bytes(load) if way == "adapter" else 0.0
    total = texts + vectors + rows + adapters
    return Storage(texts, vectors, rows, adapters, total, spare=_COPIES_IN_A_FORGET * total if has_store(way) else 0.0)


def text_bytes(load: Workload, known: Constants) -> float:
    """Say what an item's texts take."""
    return load.example_tokens * known.bytes_per_token


def vector_bytes(way: Way, load: Workload) -> float:
    """Say what an item's vectors take."""
    return _BYTES_A_NUMBER * load.views * load.dim if has_vectors(way, load) else 0.0


def adapter_bytes(load: Workload) -> float:
    """Say what one user's adapter takes."""
    return _BYTES_A_TRAINED_WEIGHT * load.model.adapter_weights(load.rank)


def _rows(way: Way, load: Workload, *, known: Constants, texts: float, vectors: float) -> float:
    views = load.views if has_vectors(way, load) else 0.0
    return load.all_items * (known.row_bytes + views * known.view_bytes) + (known.page_share - 1) * (texts + vectors)
