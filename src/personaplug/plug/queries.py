"""Vectors of queries from a frozen encoder, each text encoded once."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from personaplug.embedder.encoder import TextEncoder
from personaplug.store.base import text_hash
from personaplug.store.sqlite import PersonaStore
from personaplug.store.text_cache import TextCache


class QueryVectors:
    """Look queries up in the store, else encode them; keep the latest in memory.

    Args:
        encoder: The frozen encoder that also made the store's vectors.
        store: Its items' own texts are often the queries; None to encode every query, as for one that nobody has seen.
        capacity: Vectors kept in memory.
    """

    def __init__(self, encoder: TextEncoder, store: PersonaStore | None, *, capacity: int = 100_000) -> None:
        self.encoder = encoder
        self.store = store
        self.capacity = capacity
        self._cache = TextCache(self._make, capacity=capacity)

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "texts dim"]:
        """Give one unit vector a text, in float32 on the CPU."""
        vectors = self._cache([self.encoder.config.query_prefix + text for text in texts])
        return torch.stack(vectors) if vectors else self.encoder.encode([])

    def _make(self, texts: list[str]) -> list[Float[Tensor, " dim"]]:
        known = self.store.known([text_hash(text) for text in texts]) if self.store else {}
        unknown = [text for text in texts if text_hash(text) not in known]
        encoded = iter(self.encoder.encode(unknown))
        stored = (known.get(text_hash(text)) for text in texts)
        return [next(encoded) if vector is None else torch.from_numpy(vector.astype(np.float32)) for vector in stored]
