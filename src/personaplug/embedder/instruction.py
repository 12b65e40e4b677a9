"""Vectors that are the same for every user: what the task is, and who a user without a history is."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class SoftPrompt(nn.Module):
    """Trained vectors, the same for every user, that start with random directions and the given length."""

    def __init__(self, count: int, llm_dim: int, *, norm: float) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.empty(count, llm_dim))
        with torch.no_grad():
            for vector in self.vectors:  # One by one: two prompts in a row are one prompt of both lengths.
                vector.copy_(functional.normalize(torch.randn(llm_dim), dim=0))
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(norm))

    def forward(self, batch: int) -> Float[Tensor, "batch count llm_dim"]:
        """Repeat for each example."""
        return (self.scale * self.vectors).expand(batch, -1, -1)


class InstructionMLP(nn.Module):
    """The paper's instruction embedding: a trained vector through an MLP of its own."""

    def __init__(self, count: int, llm_dim: int, *, norm: float) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(count, llm_dim))
        self.inner, self.outer = nn.Linear(llm_dim, llm_dim), nn.Linear(llm_dim, llm_dim)
        with torch.no_grad():
            fresh = self.outer(functional.gelu(self.inner(self.vectors))).norm(dim=-1).mean() if count else 1.0
        self.scale: Tensor
        self.register_buffer("scale", torch.as_tensor(norm / fresh))

    def forward(self, batch: int) -> Float[Tensor, "batch count llm_dim"]:
        """Project the vectors and repeat them for each example."""
        projected: Tensor = self.outer(functional.gelu(self.inner(self.vectors)))
        return (self.scale * projected).expand(batch, -1, -1)
