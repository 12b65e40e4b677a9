"""The tokens of history items' outputs, as the language model would write them; each text is read once."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from personaplug.backbone.base import Backbone
from personaplug.plug.query_source import QuerySource
from personaplug.store.text_cache import TEXTS_KEPT, TextCache


class OutputTokens:
    """Read outputs as users' words, which command no model.

    Args:
        backbone: Whose tokens these are.
        longest: Tokens read of an output; the rest is not seen.
        source: Where every text is to be read anew, none is kept in memory: no call can be told from one before it.
    """

    def __init__(self, backbone: Backbone, *, longest: int, source: QuerySource = QuerySource.STORE) -> None:
        self.backbone = backbone
        self.longest = longest
        self._ids = TextCache(self._read, capacity=0 if source is QuerySource.ANEW else TEXTS_KEPT)

    def __call__(self, texts: Sequence[str]) -> list[Int[Tensor, " _"]]:
        """Give the tokens of each text, without an end."""
        return self._ids(texts)

    def ended(self, texts: Sequence[str]) -> list[Int[Tensor, " _"]]:
        """Give the tokens of each text, and its end where it is read as far."""
        end = torch.tensor([self.backbone.end], dtype=torch.int32)
        return [ids if len(ids) == self.longest else torch.cat([ids, end]) for ids in self(texts)]

    def _read(self, texts: list[str]) -> list[Int[Tensor, " _"]]:
        rows = self.backbone.reader.ids(texts, most=self.longest)
        return [torch.tensor(row, dtype=torch.int32) for row in rows]
