"""The vectors beside the input: a user's persona, or vectors trained without any user."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from personaplug.embedder.encoder import TextEncoder
from personaplug.embedder.instruction import SoftPrompt
from personaplug.embedder.user_embedder import UserEmbedder
from personaplug.plug.batch import PlugBatch


class PersonaPrefix(nn.Module):
    """Instruction and persona of each example's user.

    Args:
        embedder: Makes the vectors.
        query_encoder: The trained copy of the encoder; None where batches bring vectors of a frozen one.
    """

    def __init__(self, embedder: UserEmbedder, query_encoder: TextEncoder | None) -> None:
        super().__init__()
        self.embedder = embedder
        self.query_encoder = query_encoder

    def forward(self, batch: PlugBatch) -> Float[Tensor, "batch prefix llm_dim"]:
        """Make the prefix of each example."""
        prefix: Tensor = self.embedder(self.query(batch), batch.history)
        return prefix

    def is_there(self, batch: PlugBatch) -> Bool[Tensor, "batch prefix"]:
        """Say which vectors of each example are to stand beside its input."""
        if self.embedder.config.chooses:
            return self.embedder.is_there(self.embedder.chosen(self.query(batch), batch.history))
        return self.embedder.is_there(batch.history)

    def query(self, batch: PlugBatch) -> Float[Tensor, "batch dim"]:
        """Give the examples' queries as unit vectors."""
        if self.query_encoder is not None:
            return self.query_encoder.encode_queries(batch.queries)
        if batch.query_vectors is None:
            raise ValueError("this batch was made for a trained query encoder, and the query encoder is frozen")
        return batch.query_vectors


class TunedPrefix(nn.Module):
    """The control: as many trained vectors as a persona has, the same for every user (arXiv 2104.08691)."""

    def __init__(self, count: int, llm_dim: int, *, embedding_norm: float) -> None:
        super().__init__()
        self.prompt = SoftPrompt(count, llm_dim, norm=embedding_norm)

    def forward(self, batch: PlugBatch) -> Float[Tensor, "batch prefix llm_dim"]:
        """Repeat the vectors for each example."""
        vectors: Tensor = self.prompt(len(batch))
        return vectors

    def is_there(self, batch: PlugBatch) -> Bool[Tensor, "batch prefix"]:
        """Say that all of them stand there."""
        return torch.ones(len(batch), len(self.prompt.vectors), dtype=torch.bool, device=self.prompt.vectors.device)


Prefix = PersonaPrefix | TunedPrefix
