"""Weigh a user's memories by how well they match the query.

The paper's weights are ``softmax_i(q . k_i)`` over all items of the history (arXiv 2409.11901, section 3.2). Unit
vectors differ by a few tenths, so those are nearly uniform; here a temperature, learned or fixed at the paper's 1,
sharpens them, and a learned slope may prefer recent items.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from personaplug.embedder.history import HistoryBatch


class Aggregator(nn.Module):
    """Attention of each persona vector over the items of a history.

    Args:
        personas: Number of persona vectors, each with a temperature and a recency slope of its own.
        temperature: Initial temperature, above zero; similarities are divided by it.
        learn_temperature: Train it (its logarithm, so that it stays above zero).
        use_recency: Train a slope on the logarithm of an item's age; it starts at zero.
    """

    def __init__(self, personas: int, *, temperature: float, learn_temperature: bool, use_recency: bool) -> None:
        super().__init__()
        start = torch.full((personas,), math.log(temperature))
        self.log_temperature = nn.Parameter(start, requires_grad=learn_temperature)
        self.recency = nn.Parameter(torch.zeros(personas), requires_grad=use_recency)

    def forward(
        self, queries: Float[Tensor, "batch personas dim"], history: HistoryBatch
    ) -> Float[Tensor, "batch personas items"]:
        """Give weights that sum to one over a user's items, and are all zero for a user without any."""
        similarity = torch.einsum("bpd,bid->bpi", queries.float(), history.keys.float())
        age = torch.log1p(history.ages.float())[:, None, :]
        scores = similarity / self.log_temperature.exp()[:, None] - self.recency[:, None] * age
        return masked_softmax(scores, history)


class MeanPooling(nn.Module):
    """Every item weighs as much as any other, whatever the query: an ablation of the paper, which it moved little."""

    def forward(
        self, queries: Float[Tensor, "batch personas dim"], history: HistoryBatch
    ) -> Float[Tensor, "batch personas items"]:
        """Give equal weights that sum to one over a user's items, and are all zero for a user without any."""
        batch, personas, _ = queries.shape
        return masked_softmax(torch.zeros(batch, personas, history.mask.shape[1], device=queries.device), history)


def masked_softmax(
    scores: Float[Tensor, "batch personas items"], history: HistoryBatch
) -> Float[Tensor, "batch personas items"]:
    """Give the softmax over real items; zeros, and a gradient of zero, where there is none."""
    hidden = ~history.mask[:, None, :]
    # A finite floor, not -inf: the softmax of a row of -inf is NaN, and so is its gradient.
    weights = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(dim=-1)
    return weights.masked_fill(hidden, 0.0)
