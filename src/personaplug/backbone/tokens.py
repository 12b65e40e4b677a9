"""Inputs as a language model reads them: embeddings instead of ids, so that a persona can stand among them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from personaplug.backbone.mixing import NextTokens, SeparateRows

Side = Literal["left", "right"]
Place = Literal["before", "inside", "after"]
"""Where vectors stand: behind an input's leading tokens, ahead of those that close it, or behind all of it."""

Beside = Callable[[int], AbstractContextManager[PreTrainedModel | None]]
"""Has something stand beside a language model while it reads and answers; given the tokens of answers that it reads.

Gives the model that is to do so, where it is not the language model itself.
"""

KeysAndValues = tuple[tuple[Float[Tensor, "batch heads known dim"], Float[Tensor, "batch heads known dim"]], ...]


def alone(answer_tokens: int) -> AbstractContextManager[PreTrainedModel | None]:  # noqa: ARG001 (as of what does)
    """Have nothing stand beside the language model."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class TokenEmbeddings:
    """A padded batch of embedded inputs.

    Attributes:
        embeds: Embeddings; zeros where ``mask`` is False.
        mask: True where a token is real; False for padding, and for the room of vectors that are not there.
        side: Where the padding stands.
        lead: Tokens at the start of every input that stay first, before any prefix (a start token, a chat header).
        tail: How much at the end of every input is not for the frozen model alone, such as vectors: what stands before
            it knows nothing of it, and gets no gradients.
        beside: Entered while the language model reads and answers, to have something stand beside its own weights.
        ahead: Keys and values of the first tokens, layer by layer, where the language model has read them already.
        mixed: What has a say in the answers' next tokens beside the language model; None where nothing has.
        times: How many times the inputs stand below each other, each time with other vectors at their ends.
        has_vectors: Which inputs have vectors among them; None where none has.
    """

    embeds: Float[Tensor, "batch tokens llm_dim"]
    mask: Bool[Tensor, "batch tokens"]
    side: Side
    lead: int = 0
    tail: int = 0
    beside: Beside = alone
    ahead: KeysAndValues | None = None
    mixed: NextTokens | None = None
    times: int = 1
    has_vectors: tuple[bool, ...] | None = None

    @property
    def rows(self) -> list[Tensor]:
        """Each input's own embeddings, without padding."""
        return [embeds[mask] for embeds, mask in zip(self.embeds, self.mask, strict=True)]

    def row(self, at: int) -> tuple[Float[Tensor, "tokens llm_dim"], Bool[Tensor, " tokens"]]:
        """Give one input without padding, and which of its tokens are real: room within it stays."""
        real = self.mask[at].nonzero()[:, 0]
        own = slice(int(real[0]), int(real[-1]) + 1)
        return self.embeds[at, own], self.mask[at, own]

    @property
    def position_ids(self) -> Tensor:
        """Each token's place in its own input, counted without padding."""
        return (self.mask.long().cumsum(dim=1) - 1).clamp(min=0)

    def with_prefix(
        self,
        prefix: Float[Tensor, "batch prefix llm_dim"],
        *,
        place: Place = "before",
        is_there: Bool[Tensor, "batch prefix"] | None = None,
        closing: int = 0,
    ) -> "TokenEmbeddings":
        """Put vectors into each input: before its words, behind them or at its very end; padding stays where it was.

        An input is read as if those vectors that are not there had not been given. There is room for them all the same,
        so that all inputs are equally long behind what the frozen model reads by itself.

        Args:
            prefix: The vectors.
            place: Where they stand.
            is_there: Which of them are there; None for all.
            closing: Tokens that end every input: what stands inside is before these, as is the room of vectors of which
                none is there.
        """
        count, vectors = prefix.shape[1], list(prefix.to(self.embeds.dtype))
        there = vectors if is_there is None else [own[real] for own, real in zip(vectors, is_there, strict=True)]
        made = [
            self._with_vectors(row, own, room=count - len(own), place=place, closing=closing)
            for row, own in zip(self.rows, there, strict=True)
        ]
        rows, masks = zip(*made, strict=True)
        has_vectors = tuple(len(own) > 0 for own in there)
        whole = replace(pad_rows(rows, masks=masks, side=self.side, lead=self.lead), has_vectors=has_vectors)
        if place == "before":
            return whole
        is_inside = place == "inside" or (self.side == "left" and not all(has_vectors))
        return replace(whole, tail=count + (closing if is_inside else 0))

    def _with_vectors(
        self,
        row: Float[Tensor, "tokens llm_dim"],
        own: Float[Tensor, "there llm_dim"],
        *,
        room: int,
        place: Place,
        closing: int,
    ) -> tuple[Float[Tensor, "longer llm_dim"], Bool[Tensor, " longer"]]:
        """Put vectors into one input and leave room; say which of its places are real."""
        words = max(self.lead, len(row) - closing)
        at = {"before": self.lead, "inside": words, "after": len(row)}[place]
        whole = torch.cat([row[:at], own, row[at:]])
        free = self._room(at if len(own) else words, end=len(whole), place=place)
        real = torch.ones(len(whole), dtype=torch.bool, device=row.device)
        nothing, none = whole.new_zeros(room, whole.shape[1]), real.new_zeros(room)
        return torch.cat([whole[:free], nothing, whole[free:]]), torch.cat([real[:free], none, real[free:]])

    def _room(self, behind: int, *, end: int, place: Place) -> int:
        """Say where the room is: with the padding or, as answers go on from the last column, before what is there."""
        if self.side == "right":
            return end
        return 0 if place == "before" else behind


def below(above: TokenEmbeddings, other: TokenEmbeddings) -> TokenEmbeddings:
    """Put the same inputs below themselves, with other vectors or without; what both begin with is then read once."""
    embeds, mask = (torch.cat(pair) for pair in ((above.embeds, other.embeds), (above.mask, other.mask)))
    mixed = [each.mixed and each.mixed.row(at) for each in (above, other) for at in range(len(each.embeds))]
    return replace(
        above,
        embeds=embeds,
        mask=mask,
        mixed=SeparateRows(mixed) if any(mixed) else None,
        times=above.times + other.times,
        has_vectors=(*_having(above), *_having(other)),
    )


def _having(inputs: TokenEmbeddings) -> tuple[bool, ...]:
    return inputs.has_vectors or (False,) * len(inputs.embeds)


def pad_rows(
    rows: Sequence[Tensor], *, side: Side, lead: int = 0, masks: Sequence[Tensor] | None = None
) -> TokenEmbeddings:
    """Pad embedded inputs of shape ``[tokens, llm_dim]`` to the longest.

    Args:
        rows: The inputs.
        side: Where the padding stands.
        lead: Of each input, as in :class:`TokenEmbeddings`.
        masks: Which of each input's tokens are real; None for all.
    """
    real = masks or [torch.ones(len(row), dtype=torch.bool, device=row.device) for row in rows]
    embeds = pad_sequence(list(rows), batch_first=True, padding_side=side)
    mask = pad_sequence(list(real), batch_first=True, padding_value=False, padding_side=side)
    return TokenEmbeddings(embeds, mask, side, lead)
