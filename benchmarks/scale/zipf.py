"""Requests of users of whom few ask often: the user of rank r asks in proportion to r ** -exponent (Zipf's law)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

EXPONENT = 0.8
"""Of pages at web caches it is 0.64 to 0.83 (Breslau and others, INFOCOM 1999, doi 10.1109/INFCOM.1999.749260)."""


@dataclass(frozen=True, slots=True)
class ZipfUsers:
    """Draws who asks next, each draw by itself.

    Attributes:
        users: How many there are.
        exponent: Of the law; 0 where all ask alike.
        draw: Where chance comes from.
    """

    users: int
    exponent: float = EXPONENT
    draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def popularity(self) -> Float[np.ndarray, " users"]:
        """Give each rank's share of all requests, the first rank first."""
        weights = np.arange(1, self.users + 1, dtype=float) ** -self.exponent
        return weights / weights.sum()

    def requests(self, count: int) -> Int[np.ndarray, " count"]:
        """Draw users. Which user has which rank is drawn too, so that those who ask often lie anywhere in a store."""
        shares = np.cumsum(self.popularity())
        ranks = np.searchsorted(shares, self.draw.random(count) * shares[-1], side="right")
        return self.draw.permutation(self.users)[np.minimum(ranks, self.users - 1)]


def exponent(counts: Sequence[int]) -> float:
    """Fit Zipf's exponent to how often each user comes: the slope of log count over log rank.

    The tenth of the users with the most counts: below, counts of a few are too coarse. A rank weighs what a decade of
    ranks around it does, so that the many last ones do not decide.
    """
    most = np.sort(np.array(counts, float))[::-1][: max(2, len(counts) // 10)]
    ranks = np.arange(1, len(most) + 1)
    slope, _ = np.polyfit(np.log(ranks), np.log(most), 1, w=ranks**-0.5)
    return -float(slope)
