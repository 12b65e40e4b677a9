"""Vectors of queries from a frozen encoder, each text encoded once."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from personaplug.embedder.encoder import TextEncoder
from personaplug.store.base import text_hash
from personaplug.store.sqlite import PersonaStore


class QueryVectors:
    """Look queries up in the store, else encode them; keep the latest in memory.

    Args:
        encoder: The frozen encoder that also made the store's vectors.
        store: Its items' own texts are often the queries.
        capacity: Vectors kept in memory.
    """

    def __init__(self, encoder: TextEncoder, store: PersonaStore, *, capacity: int = 100_000) -> None:
        self.encoder = encoder
        self.store = store
        self.capacity = capacity
        self._kept: dict[bytes, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "texts dim"]:
        """Give one unit vector a text, in float32 on the CPU."""
        prefixed = [self.encoder.config.query_prefix + text for text in texts]
        hashes = [text_hash(text) for text in prefixed]
        found = self._lookup(hashes)
        missing = {key: text for key, text in zip(hashes, prefixed, strict=True) if key not in found}
        encoded = self.encoder.encode(list(missing.values()))
        found |= dict(zip(missing, encoded, strict=True))
        self._keep(found)
        return torch.stack([found[key] for key in hashes]) if hashes else encoded

    def _lookup(self, hashes: Sequence[bytes]) -> dict[bytes, Tensor]:
        found = {key: self._kept[key] for key in hashes if key in self._kept}
        unseen = [key for key in hashes if key not in found]
        known = self.store.known(unseen) if unseen else {}
        return found | {key: torch.from_numpy(vector.astype(np.float32)) for key, vector in known.items()}

    def _keep(self, found: dict[bytes, Tensor]) -> None:
        self._kept |= found
        while len(self._kept) > self.capacity:
            del self._kept[next(iter(self._kept))]
