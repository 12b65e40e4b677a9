"""The three ways to answer in a user's own that a plan compares."""

from typing import Literal, get_args

from personaplug.planning.workload import Workload

Way = Literal["persona", "items", "adapter"]
WAYS: tuple[Way, ...] = get_args(Way)


def has_store(way: Way) -> bool:
    """Tell whether a history is read for each answer; else it is only trained on, and lies in a log."""
    return way != "adapter"


def has_vectors(way: Way, load: Workload) -> bool:
    """Tell whether texts are encoded: histories beforehand, the question of each request when it comes."""
    return way == "persona" or (way == "items" and load.items_by == "dense")
