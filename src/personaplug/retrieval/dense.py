"""Ranking by the similarity of vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from personaplug.records import HistoryItem
from personaplug.retrieval.base import best_first


@dataclass(frozen=True, slots=True)
class DenseRetriever:
    """Inner product of the query's vector with each item's.

    Attributes:
        encode: Encodes queries, one row a text; a batch's together.
        vectors: Gives the items' vectors, one row an item: looked up in a store, or encoded here and now.
        vector_bytes: What a vector takes that is kept.
        encodes_items: Whether the items' vectors are made when they are first asked for; a store's are there before.
    """

    encode: Callable[[Sequence[str]], Float[np.ndarray, "texts dim"]]
    vectors: Callable[[Sequence[HistoryItem]], Float[np.ndarray, "items dim"]]
    vector_bytes: int = 0
    encodes_items: bool = False

    def rank(self, query: str, items: Sequence[HistoryItem]) -> list[int]:
        """Rank items by similarity to the query."""
        return self.rank_by(self.encode([query])[0], items) if items else []

    def rank_by(self, query: Float[np.ndarray, " dim"], items: Sequence[HistoryItem]) -> list[int]:
        """Rank items by similarity to a query that is encoded already."""
        return nearest(query, self.vectors(items)) if items else []


def nearest(query: Float[np.ndarray, " dim"], keys: Float[np.ndarray, "items dim"]) -> list[int]:
    """Rank keys by inner product with the query, in float32, the nearest first.

    Each row is summed by itself, so that equal keys get equal scores; a matrix product does not promise that.
    """
    return best_first((keys.astype(np.float32) * query.astype(np.float32)).sum(axis=1))
