"""Ranking by age."""

from collections.abc import Sequence

from personaplug.records import HistoryItem


class RecencyRetriever:
    """The latest item first, whatever the query."""

    def rank(self, query: str, items: Sequence[HistoryItem]) -> list[int]:  # noqa: ARG002 (a retriever's signature)
        """Rank items by time."""
        return list(reversed(range(len(items))))
