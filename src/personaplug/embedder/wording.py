"""Make a persona of how a user's outputs are worded, in the language model's own embedding space.

The published persona is made of a sentence encoder's vectors, which tell topics apart and hardly any wording. Here an
item is the language model's own embeddings of its output: of the first tokens each its own, and the mean of the rest.
The place counts: one mean over all tokens carries nothing of a person (TAP-PER, arXiv 2606.04547, takes such means).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from personaplug.embedder.running_mean import RunningMean


@dataclass(frozen=True, slots=True)
class Wording:
    """How outputs are worded, place by place: their first tokens, then the mean of all further ones.

    Attributes:
        vectors: Embeddings in the language model's input table; zeros where ``mask`` is False.
        mask: True where an output has such a token.
    """

    vectors: Float[Tensor, "*items places llm_dim"]
    mask: Bool[Tensor, "*items places"]

    @classmethod
    def pack(cls, wordings: "Sequence[Wording]", *, longest: int) -> "Wording":
        """Pad the items of several users to the longest history; at least one user must be given."""
        _, places, llm_dim = wordings[0].vectors.shape
        vectors = wordings[0].vectors.new_zeros(len(wordings), longest, places, llm_dim)
        mask = wordings[0].mask.new_zeros(len(wordings), longest, places)
        for row, wording in enumerate(wordings):
            count = len(wording.mask)
            vectors[row, :count], mask[row, :count] = wording.vectors, wording.mask
        return cls(vectors, mask)

    def to(self, device: torch.device) -> "Wording":
        """Move to a device."""
        return Wording(self.vectors.to(device), self.mask.to(device))


class WordingProjector(nn.Module):
    """Mean wordings of a user, each as long as a token embedding: ``gain * x + W x``, with ``W`` zero at the start.

    Args:
        llm_dim: Dimension of the language model's embeddings.
        norm: Mean length of its token embeddings.
        gain: Where the trained gain starts.
        places: How many there are, where a place that no item has takes the mean of all users; None where it is none's.
    """

    def __init__(self, llm_dim: int, *, norm: float, gain: float, places: int | None = None) -> None:
        super().__init__()
        self.everyone = RunningMean(llm_dim, places=(places,)) if places else None
        self.gain = nn.Parameter(torch.tensor(gain))
        self.outer = nn.Parameter(torch.zeros(llm_dim, llm_dim))
        self.norm: Tensor
        self.register_buffer("norm", torch.tensor(norm))

    def forward(
        self, weights: Float[Tensor, "batch 1 items"], wording: Wording
    ) -> tuple[Float[Tensor, "batch places llm_dim"], Bool[Tensor, "batch places"]]:
        """Give a vector a place, and whether it says anything.

        It is the user's own where an item that weighs anything has the place. Where none has, it is everyone's: zeros
        until training has seen a user who has it. Where it is none's, it is zeros that say nothing.
        """
        shares = _shares(weights, wording)
        means = torch.einsum("bip,bipd->bpd", shares, wording.vectors.float())
        means, is_own = functional.normalize(means, dim=-1), (shares > 0).any(dim=1)
        if self.everyone is not None:
            common = functional.normalize(self.everyone(means, is_own), dim=-1)
            means, is_own = torch.where(is_own[..., None], means, common), torch.ones_like(is_own)
        means = self.norm * means
        return self.gain * means + functional.linear(means, self.outer), is_own


def _shares(weights: Float[Tensor, "batch 1 items"], wording: Wording) -> Float[Tensor, "batch items places"]:
    """Say how much each item has of each place: of those that have it, all together, the whole.

    Where they are all far from the query, their weights are so small that a mean's length would be lost to rounding.
    """
    own = weights[:, 0, :, None].float() * wording.mask
    whole = own.detach().sum(dim=1, keepdim=True)
    return own / whole.where(whole > 0, 1.0)
