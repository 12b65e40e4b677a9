"""Linkage: are vectors of one half of a history nearer to those of its other half than to any other user's?"""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from personaplug.records import HistoryItem

Rows = Float[Tensor, "users dim"]


def earlier_half(items: tuple[HistoryItem, ...]) -> tuple[HistoryItem, ...]:
    """Give the older items; of an odd number, one fewer."""
    return items[: len(items) // 2]


def later_half(items: tuple[HistoryItem, ...]) -> tuple[HistoryItem, ...]:
    """Give the newer items, as many as :func:`earlier_half`."""
    return items[len(items) - len(items) // 2 :]


def ranks(first: Rows, second: Rows, *, center: Float[Tensor, " dim"]) -> Int[Tensor, " users"]:
    """Rank each user's second half among all users' by its cosine to the first: 1 is the nearest; ties count half up.

    Args:
        first: Of each user.
        second: In the same order.
        center: What all users have in common; it is taken off.
    """
    one, other = (functional.normalize(rows - center, dim=-1) for rows in (first, second))
    alike = one @ other.T
    own = alike.diagonal()[:, None]
    above = (alike > own).sum(dim=1)
    tied = (alike == own).sum(dim=1) - 1
    return 1 + above + (tied + 1) // 2
