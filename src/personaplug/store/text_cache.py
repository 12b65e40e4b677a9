"""What is made of texts that come again and again, made once for each."""

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from personaplug.store.base import text_hash

Made = TypeVar("Made")

TEXTS_KEPT = 100_000
"""Texts of which something is kept, where nothing else is said."""


class TextCache(Generic[Made]):
    """Make what is new, keep the latest in memory.

    Args:
        make: Gives one thing a text, in the order of the texts; it is asked for each text once, and never for none.
        capacity: Things kept; the oldest go first.
    """

    def __init__(self, make: Callable[[list[str]], Iterable[Made]], *, capacity: int = TEXTS_KEPT) -> None:
        self.make = make
        self.capacity = capacity
        self._kept: dict[bytes, Made] = {}
        self._held: dict[bytes, Made] | None = None

    def __call__(self, texts: Sequence[str]) -> list[Made]:
        """Give one thing a text."""
        hashes = [text_hash(text) for text in texts]
        known = ChainMap(self._held or {}, self._kept)
        found = {key: known[key] for key in hashes if key in known}
        if missing := {key: text for key, text in zip(hashes, texts, strict=True) if key not in found}:
            found |= zip(missing, self.make(list(missing.values())), strict=True)
        self._keep(found)
        return [found[key] for key in hashes]

    def take(self, texts: Sequence[str], made: Iterable[Made]) -> None:
        """Keep what was made of texts elsewhere."""
        self._keep(dict(zip(map(text_hash, texts), made, strict=True)))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold all that is made inside until the end, whatever the capacity; nothing of it outlasts it otherwise."""
        self._held = {}
        try:
            yield
        finally:
            self._held = None

    def _keep(self, found: dict[bytes, Made]) -> None:
        if self._held is not None:
            self._held |= found
        self._kept |= found
        while len(self._kept) > self.capacity:
            del self._kept[next(iter(self._kept))]
