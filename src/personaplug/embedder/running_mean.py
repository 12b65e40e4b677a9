"""What the histories seen in training have in common."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

SHARE = 0.02
"""Of a batch in the running mean, at least; the first batches count more."""


class RunningMean(nn.Module):
    """A mean over training batches, of one vector or of several that are counted each by itself.

    Args:
        dim: Of a vector.
        places: How many there are.

    Attributes:
        over_all: Adds up what each process of a training has, where there are many.
    """

    def __init__(self, dim: int, *, places: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.over_all: Callable[[Tensor], Tensor] = lambda own: own
        self.mean: Tensor
        self.batches: Tensor
        self.register_buffer("mean", torch.zeros(*places, dim))
        self.register_buffer("batches", torch.zeros(places))

    def forward(
        self, rows: Float[Tensor, "rows ... dim"], is_there: Bool[Tensor, "rows ..."]
    ) -> Float[Tensor, "... dim"]:
        """Give the mean; while gradients are wanted in training, after what is there of this batch is in it.

        Args:
            rows: Of users; whatever stands where ``is_there`` is False does not count.
            is_there: Which of their vectors count.
        """
        if self.training and torch.is_grad_enabled():
            self._update(rows.detach(), is_there)
        return self.mean.clone()  # A later batch changes the buffer, and the gradient of this one wants it as it was.

    def _update(self, rows: Float[Tensor, "rows ... dim"], is_there: Bool[Tensor, "rows ..."]) -> None:
        counted = torch.cat([rows, torch.ones_like(rows[..., :1])], dim=-1)
        whole = self.over_all(torch.where(is_there[..., None], counted, 0.0).sum(dim=0))
        sums, counts = whole[..., :-1], whole[..., -1]
        self.batches += counts > 0
        share = (counts > 0) / self.batches.clamp(min=1, max=1 / SHARE)
        self.mean.lerp_(sums / counts.clamp(min=1)[..., None], share[..., None])
