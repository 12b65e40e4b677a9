"""How the next token of a sampled answer is drawn."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LogitsProcessor

from personaplug.backbone.generation_config import GenerationConfig

_COLDEST = 1e-4
"""A temperature at which the likeliest token is all but certain; a lower one would only overflow."""


class RowSampling(LogitsProcessor):
    """Draws the next token of each row that is sampled, by the row's own seed, and leaves it as the only one possible.

    So a batch is decoded greedily as a whole, and what is drawn in one row depends on no other.

    Args:
        configs: How to decode each row.
    """

    def __init__(self, configs: Sequence[GenerationConfig]) -> None:
        sampled = {row: config for row, config in enumerate(configs) if config.strategy == "sample"}
        self._rows = list(sampled)
        self._narrow = [at for at, config in enumerate(sampled.values()) if config.top_p < 1]
        self._temperatures = torch.tensor([[max(config.temperature, _COLDEST)] for config in sampled.values()])
        self._top_p = torch.tensor([[sampled[self._rows[at]].top_p] for at in self._narrow])
        self._seeds = [torch.Generator().manual_seed(config.seed) for config in sampled.values()]

    def __call__(
        self,
        input_ids: Int[Tensor, "batch tokens"],  # noqa: ARG002 (transformers' signature)
        scores: Float[Tensor, "batch vocabulary"],
    ) -> Float[Tensor, "batch vocabulary"]:
        """Draw, where there is something to draw."""
        if self._rows:
            tokens = self._draw(scores[self._rows].float())
            scores[self._rows] = -torch.inf
            scores[self._rows, tokens] = 0.0
        return scores

    def _draw(self, scores: Float[Tensor, "sampled vocabulary"]) -> Int[Tensor, " sampled"]:
        chances = (scores / self._temperatures.to(scores.device)).softmax(dim=-1)
        if self._narrow:
            chances[self._narrow] = _nucleus(chances[self._narrow], self._top_p.to(scores.device))
        points = torch.stack([torch.rand(1, generator=seed) for seed in self._seeds])
        return _at(chances, points.to(scores.device))


def _nucleus(
    chances: Float[Tensor, "rows vocabulary"], top_p: Float[Tensor, "rows 1"]
) -> Float[Tensor, "rows vocabulary"]:
    """Keep the smallest set of tokens of each row that has its probability (arXiv 1904.09751)."""
    likeliest, order = chances.sort(dim=-1, descending=True)
    is_kept = likeliest.cumsum(dim=-1) - likeliest < top_p
    is_kept[:, 0] = True
    return torch.zeros_like(chances).scatter(1, order, likeliest * is_kept)


def _at(chances: Float[Tensor, "rows vocabulary"], points: Float[Tensor, "rows 1"]) -> Int[Tensor, " rows"]:
    """Find the token at a point, from 0 to below 1, of each row's chances laid end to end."""
    sums = chances.cumsum(dim=-1)
    tokens = torch.searchsorted(sums, points * sums[:, -1:], right=True).clamp(max=chances.shape[1] - 1)
    # A sum's rounding may point at a token that cannot be.
    is_possible = chances.gather(1, tokens) > 0
    return torch.where(is_possible, tokens, chances.argmax(dim=-1, keepdim=True)).squeeze(1)
