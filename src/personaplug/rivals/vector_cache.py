"""Vectors of texts that are read again and again, each encoded once."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor


class VectorCache:
    """Encode what is new, keep the latest in memory.

    Args:
        encode: A frozen encoder's verb: one row a text.
        capacity: Vectors kept.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Tensor], *, capacity: int = 100_000) -> None:
        self.encode = encode
        self.capacity = capacity
        self._kept: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "texts dim"]:
        """Give one vector a text, on the device where the encoder leaves them."""
        missing = list(dict.fromkeys(text for text in texts if text not in self._kept))
        encoded = self.encode(missing)
        if not texts:
            return encoded
        found = {text: self._kept[text] for text in texts if text in self._kept}
        found |= dict(zip(missing, encoded, strict=True))
        self._kept |= found
        while len(self._kept) > self.capacity:
            del self._kept[next(iter(self._kept))]
        return torch.stack([found[text] for text in texts])
