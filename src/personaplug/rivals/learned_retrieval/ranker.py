"""A retriever that learns: ROPG's (arXiv 2404.05970, section 3)."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from personaplug.config import option
from personaplug.embedder.encoder import TextEncoder
from personaplug.store.text_cache import TextCache


@dataclass(frozen=True, slots=True)
class RankerConfig:
    """How a query is compared with items."""

    candidates: int = option(16, "items of a user that training ranks: the untrained retriever's best")
    temperature: float = option(0.05, "of the softmax over the similarities of query and items")
    item_encoder: Literal["trained", "frozen"] = option(
        "trained", "trained: one encoder reads queries and items, as in the paper; frozen: only queries are learned"
    )
    similarity: Literal["cosine", "product"] = option(
        "cosine", "cosine, or the plain product of vectors as they are pooled, whose temperature should be near 1"
    )

    def __post_init__(self) -> None:
        if self.candidates < 2 or not self.temperature > 0:
            raise ValueError(f"candidates {self.candidates} must be at least 2, temperature {self.temperature} above 0")


class ItemRanker(nn.Module):
    """A distribution over a user's items, given a query.

    Args:
        encoder: Where training begins; it is copied, and never changed.
        config: Temperature, and what trains.
    """

    def __init__(self, encoder: TextEncoder, config: RankerConfig) -> None:
        super().__init__()
        start = encoder.as_pooled() if config.similarity == "product" else encoder
        self.encoder = trained_copy(start)
        self.config = config
        # A bound method is no module: the frozen encoder is not saved.
        self._frozen_items = TextCache(start.encode) if config.item_encoder == "frozen" else None

    def logits(self, queries: Sequence[str], options: Sequence[Sequence[str]]) -> Float[Tensor, "batch options"]:
        """Compare each query with its items, with gradients; minus infinity stands where a query has fewer items."""
        vectors = self.encoder.encode_queries(queries)
        keys = self._items([text for texts in options for text in texts]).to(vectors.device)
        rows = keys.split([len(texts) for texts in options])
        similarities = [key @ query / self.config.temperature for query, key in zip(vectors, rows, strict=True)]
        return pad_sequence(similarities, batch_first=True, padding_value=-torch.inf)

    @torch.inference_mode()
    def encode_queries(self, texts: Sequence[str]) -> Float[Tensor, "texts dim"]:
        """Encode queries, without gradients; on the CPU."""
        return self.encoder.encode_queries(texts).cpu()

    def encode_items(self, texts: Sequence[str]) -> Float[Tensor, "texts dim"]:
        """Encode items, without gradients; on the CPU."""
        return torch.stack(self._frozen_items(texts)) if self._frozen_items else self.encoder.encode(texts)

    def _items(self, texts: Sequence[str]) -> Float[Tensor, "texts dim"]:
        return torch.stack(self._frozen_items(texts)) if self._frozen_items else self.encoder.encode_items(texts)


def trained_copy(encoder: TextEncoder) -> TextEncoder:
    """Copy an encoder for training, its precision and settings kept; dropout stays off."""
    copy = TextEncoder(deepcopy(encoder.model), encoder.tokenizer, encoder.config, normalizes=encoder.normalizes)
    copy.requires_grad_(requires_grad=True)
    return copy
