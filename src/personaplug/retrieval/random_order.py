"""Ranking by chance, to show what any item of the user is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from personaplug.records import HistoryItem


@dataclass(frozen=True, slots=True)
class RandomRetriever:
    """An order drawn by hashing the query with each item: the same in every run, whatever was ranked before.

    Attributes:
        seed: Another seed, another order.
    """

    seed: int = 0

    def rank(self, query: str, items: Sequence[HistoryItem]) -> list[int]:
        """Shuffle items."""
        draws = [self._draw(query, item) for item in items]
        return sorted(range(len(items)), key=lambda index: (draws[index], index), reverse=True)

    def _draw(self, query: str, item: HistoryItem) -> bytes:
        drawn_from = "\0".join((str(self.seed), query, item.id, item.input, item.output))
        return blake2b(drawn_from.encode("utf-8", "surrogatepass"), digest_size=16).digest()
