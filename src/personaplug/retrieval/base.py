"""What a retriever promises, and the one order that all of them keep."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from personaplug.records import HistoryItem


@runtime_checkable
class Retriever(Protocol):
    """Ranks one user's items by what they may tell about a query."""

    def rank(self, query: str, items: Sequence[HistoryItem]) -> list[int]:
        """Rank all items, best first; no items, no ranks.

        Args:
            query: The text of the query, as :meth:`personaplug.tasks.task.Task.retrieval_query` cuts it.
            items: Oldest first, as a profile holds them.

        Returns:
            Each index into ``items`` once; the same arguments always give the same order.
        """
        ...


def best_first(scores: Float[np.ndarray, " items"]) -> list[int]:
    """Order indices by score, the highest first and of equal scores the later item first."""
    later_first = -np.arange(len(scores))
    order: list[int] = np.lexsort((later_first, -scores)).tolist()
    return order
