"""Inputs as a language model reads them: embeddings instead of ids, so that a persona can stand among them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from personaplug.backbone.mixing import NextTokens

Side = Literal["left", "right"]
Place = Literal["before", "after"]

Beside = Callable[[int], AbstractContextManager[None]]
"""Has something stand beside a language model while it reads and answers; given the tokens of answers that it reads."""


KeysAndValues = tuple[tuple[Float[Tensor, "batch heads known dim"], Float[Tensor, "batch heads known dim"]], ...]


def alone(answer_tokens: int) -> AbstractContextManager[None]:  # noqa: ARG001 (as of what does)
    """Have nothing stand beside the language model."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class TokenEmbeddings:
    """A padded batch of embedded inputs.

    Attributes:
        embeds: Embeddings; zeros where ``mask`` is False.
        mask: True where a token is real.
        side: Where the padding stands.
        lead: Tokens at the start of every input that stay first, before any prefix (a start token, a chat header).
        tail: How much at the end of every input is not for the frozen model alone, such as vectors: what stands before
            it knows nothing of it, and gets no gradients.
        beside: Entered while the language model reads and answers, to have something stand beside its own weights.
        ahead: Keys and values of the first tokens, layer by layer, where the language model has read them already.
        mixed: What has a say in the answers' next tokens beside the language model; None where nothing has.
    """

    embeds: Float[Tensor, "batch tokens llm_dim"]
    mask: Bool[Tensor, "batch tokens"]
    side: Side
    lead: int = 0
    tail: int = 0
    beside: Beside = alone
    ahead: KeysAndValues | None = None
    mixed: NextTokens | None = None

    @property
    def rows(self) -> list[Tensor]:
        """Each input's own embeddings, without padding."""
        return [embeds[mask] for embeds, mask in zip(self.embeds, self.mask, strict=True)]

    @property
    def position_ids(self) -> Tensor:
        """Each token's place in its own input, counted without padding."""
        return (self.mask.long().cumsum(dim=1) - 1).clamp(min=0)

    def with_prefix(
        self, prefix: Float[Tensor, "batch prefix llm_dim"], *, place: Place = "before"
    ) -> "TokenEmbeddings":
        """Put vectors into each input, after its leading tokens or at its very end; padding stays where it was."""
        prefix = prefix.to(self.embeds.dtype)
        pairs = list(zip(self.rows, prefix, strict=True))
        if place == "after":
            rows = [torch.cat([row, own]) for row, own in pairs]
            return replace(pad_rows(rows, side=self.side, lead=self.lead), tail=prefix.shape[1])
        rows = [torch.cat([row[: self.lead], own, row[self.lead :]]) for row, own in pairs]
        return pad_rows(rows, side=self.side, lead=self.lead)


def pad_rows(rows: Sequence[Tensor], *, side: Side, lead: int = 0) -> TokenEmbeddings:
    """Pad embedded inputs of shape ``[tokens, llm_dim]`` to the longest."""
    ones = [torch.ones(len(row), dtype=torch.bool, device=row.device) for row in rows]
    embeds = pad_sequence(list(rows), batch_first=True, padding_side=side)
    mask = pad_sequence(ones, batch_first=True, padding_value=False, padding_side=side)
    return TokenEmbeddings(embeds, mask, side, lead)
