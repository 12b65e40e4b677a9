"""Ranking by shared words: the retriever of the benchmark's own baseline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rank_bm25 import BM25Okapi

from personaplug.records import HistoryItem
from personaplug.retrieval.base import best_first


@dataclass(frozen=True, slots=True)
class BM25Retriever:
    """Okapi BM25 over words between spaces, the user's own items being the whole corpus.

    With their case kept, the words are those of LaMP's baseline.

    In a history of one or two items no word is rare enough to tell them apart, so that the order means little there.

    Attributes:
        text: Writes an item as the words to search.
        keeps_case: Whether words that differ in case are two words.
    """

    text: Callable[[HistoryItem], str]
    keeps_case: bool = False

    def rank(self, query: str, items: Sequence[HistoryItem]) -> list[int]:
        """Rank items by BM25; where no item has a word, the latest first."""
        corpus = [self._words(self.text(item)) for item in items]
        if not any(corpus):  # BM25Okapi would divide by the number of words
            return best_first(np.zeros(len(corpus)))
        return best_first(BM25Okapi(corpus).get_scores(self._words(query)))

    def _words(self, text: str) -> list[str]:
        return (text if self.keeps_case else text.lower()).split()
