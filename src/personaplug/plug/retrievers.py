"""Retrievers over what a task reads of an item, and over what a store holds of it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from personaplug.plug.queries import QueryVectors
from personaplug.records import HistoryItem
from personaplug.retrieval.bm25 import BM25Retriever
from personaplug.retrieval.dense import DenseRetriever
from personaplug.store.base import VECTOR_TYPE, missing_item, text_hash
from personaplug.store.sqlite import PersonaStore
from personaplug.tasks.task import Task


def by_words(task: Task) -> BM25Retriever:
    """Rank by the words that the task searches of an item."""
    return BM25Retriever(lambda item: " ".join(task.search_texts(item)))


def by_vectors(task: Task, store: PersonaStore, *, queries: QueryVectors) -> DenseRetriever:
    """Rank by the stored vectors of the items' first view, whoever they belong to."""
    return DenseRetriever(
        lambda texts: queries(texts).numpy(),
        lambda items: _stored_keys(items, store, task=task),
        vector_bytes=store.layout.dim * VECTOR_TYPE.itemsize,
    )


def _stored_keys(items: Sequence[HistoryItem], store: PersonaStore, *, task: Task) -> Float[np.ndarray, "items dim"]:
    hashes = [text_hash(task.view_texts(item)[0]) for item in items]
    known = store.known(hashes)
    for item, key in zip(items, hashes, strict=True):
        if key not in known:
            raise missing_item(item.id, where=str(store.path))
    return np.stack([known[key] for key in hashes])
