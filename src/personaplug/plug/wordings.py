"""How the outputs of history items are worded, in the language model's own embeddings."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from personaplug.embedder.wording import Wording
from personaplug.plug.output_tokens import OutputTokens


class Wordings:
    """Give outputs' wordings by place.

    Args:
        outputs: Reads them.
        places: First tokens of an output with a place each; one more is that of the mean of the rest.
        ahead: What stands before each output, its last token in the first place; None for that mean.
    """

    def __init__(self, outputs: OutputTokens, *, places: int, ahead: str | None = None) -> None:
        self.outputs = outputs
        self.backbone = outputs.backbone
        self.places = places
        self._ahead = None if ahead is None else outputs([ahead])[0][-1:]

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Wording:
        """Give the wordings ``[texts, places + 1, llm_dim]``, in their order, in float32 on the backbone's device."""
        bags = [bag for ids in self.outputs(texts) for bag in self._bags(ids)]
        lengths = torch.tensor([len(bag) for bag in bags], dtype=torch.long, device=self.backbone.device)
        shape = (len(texts), self.places + 1)
        means = self._means(torch.cat(bags) if bags else torch.zeros(0, dtype=torch.long), lengths)
        return Wording(means.view(*shape, self.backbone.dim), (lengths > 0).view(shape))

    def _bags(self, ids: Int[Tensor, " tokens"]) -> list[Int[Tensor, " bag"]]:
        """Cut the tokens of a text into places: one each, or none, and the rest behind or what stands ahead."""
        first = [ids[at : at + 1] for at in range(self.places)]
        if self._ahead is None:
            return [*first, ids[self.places :]]
        return [self._ahead if len(ids) else ids, *first]

    def _means(self, ids: Int[Tensor, " tokens"], lengths: Int[Tensor, " bags"]) -> Float[Tensor, "bags llm_dim"]:
        """Give the mean embedding of each bag; zeros for an empty one. Each token is looked up once."""
        tokens, where = ids.long().to(self.backbone.device).unique(return_inverse=True)
        return functional.embedding_bag(
            where, self.backbone.look_up(tokens).float(), lengths.cumsum(0) - lengths, mode="mean"
        )
