"""Vectors of queries from a frozen encoder, each text encoded once."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from personaplug.embedder.encoder import TextEncoder
from personaplug.plug.query_source import QuerySource
from personaplug.store.base import text_hash
from personaplug.store.persona_store import PersonaStore
from personaplug.store.text_cache import TEXTS_KEPT, TextCache


class QueryVectors:
    """Look queries up in the store, else encode them; keep the latest in memory.

    Args:
        encoder: The frozen encoder that also made the store's vectors.
        store: Its items' own texts are often the queries; None to encode every query.
        capacity: Vectors kept in memory for the next call; at 0 none are, so no call can be told from one before it.
    """

    def __init__(self, encoder: TextEncoder, store: PersonaStore | None, *, capacity: int = TEXTS_KEPT) -> None:
        self.encoder = encoder
        self.store = store
        self.capacity = capacity
        self._cache = TextCache(self._make, capacity=capacity)

    @classmethod
    def of(cls, encoder: TextEncoder, store: PersonaStore | None, *, source: QuerySource) -> "QueryVectors":
        """Take them from where they are to come from."""
        kept = 0 if source is QuerySource.ANEW else TEXTS_KEPT
        return cls(encoder, store if source is QuerySource.STORE else None, capacity=kept)

    def forget(self) -> None:
        """Let go of what is kept in memory, as before the first call."""
        self._cache = TextCache(self._make, capacity=self.capacity)

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "texts dim"]:
        """Give one unit vector a text, in float32 on the CPU."""
        vectors = self._cache([self.encoder.config.query_prefix + text for text in texts])
        return torch.stack(vectors) if vectors else self.encoder.encode([])

    def take(self, texts: Sequence[str], vectors: Float[Tensor, "texts dim"]) -> None:
        """Keep what another process has made of texts, as if this one had."""
        self._cache.take([self.encoder.config.query_prefix + text for text in texts], vectors)

    def held(self) -> AbstractContextManager[None]:
        """Hold the vectors of one batch until its end, so that no text of it is encoded twice, whatever is kept."""
        return self._cache.held()

    def _make(self, texts: list[str]) -> list[Float[Tensor, " dim"]]:
        hashes = [text_hash(text) for text in texts]
        known = self.store.known(hashes) if self.store else {}
        stored = [known.get(key) for key in hashes]
        encoded = iter(self.encoder.encode([text for text, kept in zip(texts, stored, strict=True) if kept is None]))
        return [next(encoded) if kept is None else torch.from_numpy(kept.astype(np.float32)) for kept in stored]
