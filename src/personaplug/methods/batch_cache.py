"""What was made of the examples that were asked about last."""

from collections.abc import Callable, Sequence
from operator import is_
from typing import Generic, TypeVar

from personaplug.records import Example

Made = TypeVar("Made")


class BatchCache(Generic[Made]):
    """Makes something of examples and remembers it, so that what else is asked about them does not make it again.

    Of a method one wants the answers, the likelihoods of the right ones, and counts, each of the same batch.

    Args:
        make: Makes it, of a batch.
    """

    def __init__(self, make: Callable[[Sequence[Example]], Made]) -> None:
        self._make = make
        self._last: tuple[tuple[Example, ...], Made] | None = None

    def __call__(self, examples: Sequence[Example]) -> Made:
        """Give what was made last of the very same examples, in order; else make it. Equal ones are dear to compare."""
        last = self._last
        if last and len(examples) == len(last[0]) and all(map(is_, examples, last[0])):
            return last[1]
        return self.anew(examples)

    def anew(self, examples: Sequence[Example]) -> Made:
        """Make it, also where it was made before: what is timed does all its work."""
        self._last = None  # before the next is made: two batches at once would raise the peak of memory
        made = self._make(examples)
        self._last = tuple(examples), made
        return made
