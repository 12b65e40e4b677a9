"""A trained retriever, as retrieval prompts use one."""

from personaplug.plug.retrievers import remembering
from personaplug.retrieval.dense import DenseRetriever
from personaplug.rivals.learned_retrieval.ranker import ItemRanker
from personaplug.rivals.learned_retrieval.run import item_words
from personaplug.store.base import VECTOR_TYPE
from personaplug.tasks.task import Task


def ranker_as_retriever(ranker: ItemRanker, task: Task) -> DenseRetriever:
    """Let a trained ranker rank a user's items; each text is encoded once."""
    items = remembering(ranker.encode_items)
    return DenseRetriever(
        remembering(ranker.encode_queries),
        lambda history: items([item_words(task, item) for item in history]),
        vector_bytes=ranker.encoder.dim * VECTOR_TYPE.itemsize,
        encodes_items=True,
    )
