"""What training learned, as the methods use it: a trained retriever, and answers kept for a second look."""

from collections.abc import Callable, Sequence

from personaplug.plug.backbone import Backbone, GenerationConfig
from personaplug.plug.retrieval_run import item_words
from personaplug.retrieval.dense import DenseRetriever
from personaplug.rivals.ranker import ItemRanker
from personaplug.rivals.vector_cache import VectorCache
from personaplug.store.base import VECTOR_TYPE
from personaplug.tasks.task import Task


def ranker_as_retriever(ranker: ItemRanker, task: Task) -> DenseRetriever:
    """Let a trained ranker rank a user's items; each text is encoded once."""
    queries, items = VectorCache(ranker.encode_queries), VectorCache(ranker.encode_items)
    return DenseRetriever(
        lambda texts: queries(texts).numpy(),
        lambda history: items([item_words(task, item) for item in history]).numpy(),
        vector_bytes=ranker.encoder.dim * VECTOR_TYPE.itemsize,
    )


def remembering(
    backbone: Backbone, generation: GenerationConfig, *, max_tokens: int, capacity: int = 10_000
) -> Callable[[Sequence[str]], list[str]]:
    """Answer prompts, the latest from memory: a method is asked for its answer and for its likelihood.

    Args:
        backbone: The frozen language model.
        generation: How to decode.
        max_tokens: Longer prompts are cut at their end.
        capacity: Answers kept.
    """
    kept: dict[str, str] = {}

    def answer(prompts: Sequence[str]) -> list[str]:
        if missing := list(dict.fromkeys(prompt for prompt in prompts if prompt not in kept)):
            answers = backbone.generate(backbone.embed(missing, max_tokens=max_tokens), generation)
            kept.update(zip(missing, answers, strict=True))
        found = [kept[prompt] for prompt in prompts]
        while len(kept) > capacity:
            del kept[next(iter(kept))]
        return found

    return answer
