"""Membership: can an item that a persona was made of be told from one that it was not made of?"""

from collections.abc import Sequence
from math import nan

import numpy as np

from personaplug.records import HistoryItem

Items = tuple[HistoryItem, ...]


def members(items: Items) -> Items:
    """Give the earlier three quarters of a history, which vectors are made of."""
    return items[: len(items) - _held_out(items)]


def later(items: Items) -> Items:
    """Give the last quarter of a history, two items at least: what was written after the vectors were made."""
    return items[len(items) - _held_out(items) :]


def not_among(items: Items, others: Items) -> Items:
    """Leave out items whose output is also that of another: their text is a member's."""
    texts = {item.output for item in others}
    return tuple(item for item in items if item.output not in texts)


def auc(inside: Sequence[float], outside: Sequence[float]) -> float:
    """Say how often a member scores higher than what is none, a tie as half; NaN where there is none of either."""
    if not inside or not outside:
        return nan
    gaps = np.subtract.outer(np.asarray(inside), np.asarray(outside))
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


def _held_out(items: Items) -> int:
    return max(2, len(items) // 4)
