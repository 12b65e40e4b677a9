"""How often a server finds a history in its memory, where few users ask often.

Users ask by Zipf's law, each request by itself. Memory keeps those who asked last. The law of its hits is Che's
approximation (Fricker, Robert and Roberts, arXiv 1202.3974): a user is found who asked within the time in which as many
others ask as memory has room for.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
from jaxtyping import Float

_EXACT = 10_000
"""So many of the most frequent users are counted one by one, those behind in groups of neighbors."""
_GROUPS = 4_000
_HALVINGS = 200
_ALMOST_ALL = 1 - 1e-6
"""Of the users: with room for so many nobody leaves memory within any number of requests that matters."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who asks how often: groups of users who ask alike.

    Attributes:
        sizes: Users in each group.
        shares: Of all requests, those of one user of each group.
    """

    sizes: Float[np.ndarray, " groups"]
    shares: Float[np.ndarray, " groups"]

    @classmethod
    def of(cls, users: float, skew: float) -> "Crowd":
        """Let the user of rank r ask in proportion to ``r ** -skew``."""
        single = np.arange(0.5, min(users, _EXACT) + 0.5)
        rest = np.geomspace(single[-1] + 1, users + 0.5, _GROUPS)[1:] if users > _EXACT else np.zeros(0)
        edges = np.concatenate([single, [single[-1] + 1], rest])
        sizes = np.diff(edges)
        middles = np.sqrt(edges[:-1] * edges[1:])
        middles[: len(single)] = np.arange(1, len(single) + 1)
        weights = middles**-skew
        return cls(sizes, weights / (sizes * weights).sum())

    def asked_by(self, requests: float) -> float:
        """Say how many different users are behind so many requests, in the mean."""
        return float(-(self.sizes * np.expm1(-self.shares * requests)).sum())

    def found_within(self, requests: float) -> float:
        """Say what share of requests is of users who asked within so many requests before."""
        return float(-(self.sizes * self.shares * np.expm1(-self.shares * requests)).sum())


def hit_rate(*, users: float, skew: float, room: float, between: float = inf) -> float:
    """Give the share of requests whose user is found in memory.

    Args:
        users: Who may ask.
        skew: Exponent of Zipf's law; 0 where all ask alike.
        room: Users for whom memory has room.
        between: Requests from one emptying of the memory to the next.
    """
    crowd = Crowd.of(users, skew)
    lasting = _lasting(crowd, room) if room < users * _ALMOST_ALL else inf
    if between <= lasting:
        return 1.0 if between == inf else max(0.0, 1 - crowd.asked_by(between) / between)
    settled = crowd.found_within(lasting)
    if between == inf:
        return settled
    return (lasting - crowd.asked_by(lasting) + (between - lasting) * settled) / between


def _lasting(crowd: Crowd, room: float) -> float:
    """Find after how many requests of others a user leaves memory."""
    low, high = 0.0, 1.0
    while crowd.asked_by(high) < room:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if crowd.asked_by(middle) < room else (low, middle)
    return high
