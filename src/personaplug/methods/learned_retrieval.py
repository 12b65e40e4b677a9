"""A trained retriever, as retrieval prompts use one."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float

from personaplug.plug.retrieval_run import item_words
from personaplug.retrieval.dense import DenseRetriever
from personaplug.rivals.ranker import ItemRanker
from personaplug.store.base import VECTOR_TYPE
from personaplug.store.text_cache import TextCache
from personaplug.tasks.task import Task


def ranker_as_retriever(ranker: ItemRanker, task: Task) -> DenseRetriever:
    """Let a trained ranker rank a user's items; each text is encoded once."""
    items = _remembering(ranker.encode_items)
    return DenseRetriever(
        _remembering(ranker.encode_queries),
        lambda history: items([item_words(task, item) for item in history]),
        vector_bytes=ranker.encoder.dim * VECTOR_TYPE.itemsize,
    )


def _remembering(
    encode: Callable[[Sequence[str]], torch.Tensor],
) -> Callable[[Sequence[str]], Float[np.ndarray, "texts dim"]]:
    cache = TextCache(encode)
    return lambda texts: torch.stack(cache(texts)).numpy()
