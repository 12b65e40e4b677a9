"""Carry memories from the encoder's space into the language model's.

``Proj`` is Linear, GELU, Linear (arXiv 2409.11901, section 3.2). The weights of a history sum to one, so the second
Linear may follow the weighted sum: ``sum_i w_i (A g_i + b) = A (sum_i w_i g_i) + b``. The function is the same, and one
product of ``llm_dim x llm_dim`` a persona takes the place of one an item.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from personaplug.embedder.history import HistoryBatch


class Projector(nn.Module):
    """The weighted sum of a user's projected memories.

    Args:
        views: Views of an item that the persona is made of, from the first on.
        dim: Dimension of the encoder.
        llm_dim: Dimension of the language model's embeddings.
        normalize: Normalize each view to zero mean and unit variance first: entries of a unit vector are of size
            ``dim ** -0.5``, which leaves the GELU nearly linear.
    """

    def __init__(self, views: int, dim: int, *, llm_dim: int, normalize: bool) -> None:
        super().__init__()
        self.views = views
        self.normalize = normalize
        self.inner = nn.Linear(views * dim, llm_dim)
        self.outer = nn.Linear(llm_dim, llm_dim)

    def forward(
        self, weights: Float[Tensor, "batch personas items"], history: HistoryBatch
    ) -> Float[Tensor, "batch personas llm_dim"]:
        """Project every item once, sum with the weights, project the sums."""
        values = history.vectors[:, :, : self.views].float()
        if self.normalize:
            values = functional.layer_norm(values, values.shape[-1:])
        projected = functional.gelu(self.inner(values.flatten(2)))
        result: Tensor = self.outer(weights @ projected)
        return result

    @torch.no_grad()
    def typical_norm(self, *, samples: int = 256, seed: int = 0) -> float:
        """Measure the mean length of what this projector makes of random unit vectors, to set its scale by."""
        views, dim = self.views, self.inner.in_features // self.views
        random = torch.randn(samples, 1, views, dim, generator=torch.Generator().manual_seed(seed))
        vectors = functional.normalize(random, dim=-1).to(self.inner.weight.device)
        ones = torch.ones(samples, 1, 1, device=vectors.device)
        alone = HistoryBatch(vectors, torch.zeros_like(ones[:, :, 0]), ones[:, :, 0] > 0)
        return float(self(ones, alone).norm(dim=-1).mean())
