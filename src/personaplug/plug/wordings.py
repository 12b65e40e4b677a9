"""How the outputs of history items are worded, in the language model's own embeddings; each text is read once."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from personaplug.backbone.base import Backbone
from personaplug.embedder.wording import Wording
from personaplug.plug.query_source import QuerySource
from personaplug.store.text_cache import TEXTS_KEPT, TextCache


class Wordings:
    """Read outputs as the language model would: their words are never commands to it.

    Args:
        backbone: Whose tokens and embeddings these are.
        places: First tokens of an output with a place each; one more is that of the mean of the rest.
        longest: Tokens read of an output; the rest is not seen.
        capacity: Texts whose tokens are kept in memory; at 0 none are, so no call can be told from one before it.
    """

    def __init__(self, backbone: Backbone, *, places: int, longest: int, capacity: int = TEXTS_KEPT) -> None:
        self.backbone = backbone
        self.places = places
        self.longest = longest
        self._ids = TextCache(self._read, capacity=capacity)

    @classmethod
    def of(cls, backbone: Backbone, *, places: int, longest: int, source: QuerySource) -> "Wordings":
        """Keep texts in memory unless each is to be read anew."""
        kept = 0 if source is QuerySource.ANEW else TEXTS_KEPT
        return cls(backbone, places=places, longest=longest, capacity=kept)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Wording:
        """Give the wordings ``[texts, places + 1, llm_dim]``, in float32 on the backbone's device."""
        bags = [bag for ids in self._ids(texts) for bag in self._bags(ids)]
        lengths = torch.tensor([len(bag) for bag in bags], dtype=torch.long, device=self.backbone.device)
        shape = (len(texts), self.places + 1)
        means = self._means(torch.cat(bags) if bags else torch.zeros(0, dtype=torch.long), lengths)
        return Wording(means.view(*shape, self.backbone.dim), (lengths > 0).view(shape))

    def _read(self, texts: list[str]) -> list[Int[Tensor, " tokens"]]:
        rows = self.backbone.reader.ids(texts, most=self.longest)
        return [torch.tensor(row, dtype=torch.int32) for row in rows]

    def _bags(self, ids: Int[Tensor, " tokens"]) -> list[Int[Tensor, " bag"]]:
        """Cut the tokens of a text into places: one each, or none, and the rest."""
        return [*(ids[at : at + 1] for at in range(self.places)), ids[self.places :]]

    def _means(self, ids: Int[Tensor, " tokens"], lengths: Int[Tensor, " bags"]) -> Float[Tensor, "bags llm_dim"]:
        """Give the mean embedding of each bag; zeros for an empty one. Each token is looked up once."""
        tokens, where = ids.long().to(self.backbone.device).unique(return_inverse=True)
        return functional.embedding_bag(
            where, self.backbone.look_up(tokens).float(), lengths.cumsum(0) - lengths, mode="mean"
        )
