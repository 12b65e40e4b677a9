"""Retrievers over what a task reads of an item, and over what a store holds of it."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float

from personaplug.embedder.encoder import TextEncoder
from personaplug.plug.queries import QueryVectors
from personaplug.records import HistoryItem
from personaplug.retrieval.bm25 import BM25Retriever
from personaplug.retrieval.dense import DenseRetriever
from personaplug.store.base import VECTOR_TYPE, missing_item, text_hash
from personaplug.store.persona_store import PersonaStore
from personaplug.store.text_cache import TEXTS_KEPT, TextCache
from personaplug.tasks.task import Task


def by_words(task: Task) -> BM25Retriever:
    """Rank by the words that the task searches of an item."""
    return BM25Retriever(lambda item: _searched(task, item), keeps_case=task.retrieval.keep_case)


def by_vectors(task: Task, store: PersonaStore, *, queries: QueryVectors) -> DenseRetriever:
    """Rank by the stored vectors of the items' first view, whoever they belong to."""
    return DenseRetriever(
        lambda texts: queries(texts).numpy(),
        lambda items: _stored_keys(items, store, task=task),
        vector_bytes=store.layout.dim * VECTOR_TYPE.itemsize,
    )


def by_product(task: Task, encoder: TextEncoder, *, capacity: int = TEXTS_KEPT) -> DenseRetriever:
    """Rank by the plain product of vectors as they are pooled, of what word search reads (LaMP's dense retriever).

    A store holds unit vectors, so items are encoded here. The latest ``capacity`` vectors stay in memory, and their
    texts are not encoded again.
    """
    encode, prefix = remembering(encoder.as_pooled().encode, capacity=capacity), encoder.config.query_prefix
    return DenseRetriever(
        lambda texts: encode([prefix + text for text in texts]),
        lambda items: encode([_searched(task, item) for item in items]),
        vector_bytes=encoder.dim * VECTOR_TYPE.itemsize,
        encodes_items=True,
    )


def remembering(
    encode: Callable[[Sequence[str]], torch.Tensor], *, capacity: int = TEXTS_KEPT
) -> Callable[[Sequence[str]], Float[np.ndarray, "texts dim"]]:
    """Encode each text once while it is kept; at least one is asked for."""
    cache = TextCache(encode, capacity=capacity)
    return lambda texts: torch.stack(cache(texts)).numpy()


def _searched(task: Task, item: HistoryItem) -> str:
    return " ".join(task.search_texts(item))


def _stored_keys(items: Sequence[HistoryItem], store: PersonaStore, *, task: Task) -> Float[np.ndarray, "items dim"]:
    hashes = [text_hash(task.view_texts(item)[0]) for item in items]
    known = store.known(hashes)
    for item, key in zip(items, hashes, strict=True):
        if key not in known:
            raise missing_item(item.id, where=str(store.path))
    return np.stack([known[key] for key in hashes])
