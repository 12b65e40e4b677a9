"""Quote a user: how the outputs of the items most like the query begin, in the language model's own embeddings.

A mean over many outputs is no word of any language, and a frozen model has to learn to read it. The words of one output
after another it reads at once, as it reads a prompt.
"""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from personaplug.embedder.history import HistoryBatch


class Quotes(nn.Module):
    """The words of some items, item by item: ``x + W x`` of each word's embedding, with ``W`` zero at the start.

    Args:
        llm_dim: Dimension of the language model's embeddings.
        most: Items that may be quoted: there is room for as many, whoever has fewer.
    """

    def __init__(self, llm_dim: int, *, most: int) -> None:
        super().__init__()
        self.most = most
        self.outer = nn.Parameter(torch.zeros(llm_dim, llm_dim))

    def forward(self, quoted: HistoryBatch) -> Float[Tensor, "batch personas llm_dim"]:
        """Quote items one after another, in the order of the batch, each vector where :meth:`is_there` says."""
        assert quoted.wording is not None
        words = self._spread(quoted.wording.vectors).flatten(1, 2)
        words = words.where(self.is_there(quoted)[..., None], 0.0)
        return words + functional.linear(words, self.outer)

    def is_there(self, quoted: HistoryBatch) -> Bool[Tensor, "batch personas"]:
        """Say which of the vectors are words of items."""
        assert quoted.wording is not None
        mask = quoted.wording.mask & quoted.mask[:, :, None]
        return self._spread(mask[..., None])[..., 0].flatten(1)

    def _spread(self, items: Shaped[Tensor, "batch items places dim"]) -> Shaped[Tensor, "batch most places dim"]:
        """Leave room for as many items as may be quoted."""
        assert items.shape[1] <= self.most
        return functional.pad(items, (0, 0, 0, 0, self.most - items.shape[1], 0))
