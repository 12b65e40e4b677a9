"""Examples in batches, for what is measured of trained runs."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 8
"""Examples that a language model scores together."""


def in_batches(examples: Sequence[T], size: int = AT_ONCE) -> Iterator[Sequence[T]]:
    """Cut examples into batches, in their order; the last may be smaller."""
    return (examples[first : first + size] for first in range(0, len(examples), size))
