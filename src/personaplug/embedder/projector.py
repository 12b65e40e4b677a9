"""Carry memories from the encoder's space into the language model's.

``Proj`` is Linear, GELU, Linear (arXiv 2409.11901, section 3.2). The weights of a history sum to one, so the second
Linear may follow the weighted sum: ``sum_i w_i (A g_i + b) = A (sum_i w_i g_i) + b``. The function is the same, and one
product of ``llm_dim x llm_dim`` a persona takes the place of one an item.

Beyond the paper: what all users have in common is taken off before the second Linear, so that it learns how a user
differs from others and nothing else (DEP, arXiv 2507.20849, compares users too, with peers found for each). The common
part is larger than the differences; left in, its gradients drown theirs.

Padding is never projected: only the real items of all users, as one flat matrix, reach the first Linear.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from personaplug.embedder.deferred_linear import LateLinear
from personaplug.embedder.history import HistoryBatch
from personaplug.embedder.running_mean import RunningMean
from personaplug.embedder.weighted_sums import weighted_sums


class Projector(nn.Module):
    """The weighted sum of a user's projected memories.

    Args:
        views: Views of an item that the persona is made of, from the first on.
        dim: Dimension of the encoder.
        llm_dim: Dimension of the language model's embeddings.
        normalize: Normalize each view to zero mean and unit variance first: entries of a unit vector are of size
            ``dim ** -0.5``, which leaves the GELU nearly linear.
        is_centered: Take off what histories have in common, as a running mean over the training batches.
    """

    def __init__(self, views: int, dim: int, *, llm_dim: int, normalize: bool, is_centered: bool = False) -> None:
        super().__init__()
        self.views = views
        self.normalize = normalize
        self.inner = nn.Linear(views * dim, llm_dim)
        self.outer = nn.Linear(llm_dim, llm_dim, bias=not is_centered)
        self.common = RunningMean(llm_dim) if is_centered else None

    def forward(
        self, weights: Float[Tensor, "batch personas items"], history: HistoryBatch
    ) -> Float[Tensor, "batch personas llm_dim"]:
        """Project every item once, sum with the weights, project the sums."""
        outer = LateLinear(self.outer, (*weights.shape[:2], self.outer.out_features))
        items = self._read(history)
        counts = history.mask.sum(dim=1).tolist()
        memories = weighted_sums(weights.mT[history.mask], items, linear=self.inner, counts=counts)
        if self.common is not None:
            has_items = ~history.is_empty[:, None].expand(memories.shape[:2])
            memories = memories - self.common(memories.flatten(0, 1), has_items.flatten())
        return outer(memories)

    @torch.no_grad()
    def typical_norm(self, *, samples: int = 256, seed: int = 0) -> float:
        """Measure the mean length of what this projector makes of random unit vectors, to set its scale by."""
        views, dim = self.views, self.inner.in_features // self.views
        random = torch.randn(samples, 1, views, dim, generator=torch.Generator().manual_seed(seed))
        vectors = functional.normalize(random, dim=-1).to(self.inner.weight.device)
        ones = torch.ones(samples, 1, 1, device=vectors.device)
        alone = HistoryBatch(vectors, torch.zeros_like(ones[:, :, 0]), ones[:, :, 0] > 0)
        return float(self(ones, alone).norm(dim=-1).mean())

    def _read(self, history: HistoryBatch) -> Float[Tensor, "items width"]:
        """Give what the first Linear reads of all real items."""
        values = history.vectors[history.mask][:, : self.views].float()
        if self.normalize:
            values = functional.layer_norm(values, values.shape[-1:])
        return values.flatten(1)
