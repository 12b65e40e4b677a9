"""What has a say in the next token beside the language model, such as the words that a user wrote before."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LogitsProcessor


@runtime_checkable
class NextTokens(Protocol):
    """Mixes probabilities of next tokens into those of a language model, row by row of a batch of inputs."""

    def scored(
        self, log_probabilities: Float[Tensor, "batch tokens"], answers: Int[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens"]:
        """Give the log-probabilities of given answers' tokens, from those that the language model gives them."""

    def next(
        self, scores: Float[Tensor, "rows vocabulary"], answers: Int[Tensor, "rows tokens"]
    ) -> Float[Tensor, "rows vocabulary"]:
        """Give the log-probabilities of the next tokens, from the language model's logits; rows may be beams."""

    def row(self, at: int) -> "NextTokens":
        """Give what has a say in one row."""


class MixedIn(LogitsProcessor):
    """Has them mixed into each step of a generation.

    Args:
        mixed: What has a say.
        start: Tokens that stand before an answer's own, such as a decoder's first.
    """

    def __init__(self, mixed: NextTokens, *, start: int) -> None:
        self.mixed = mixed
        self.start = start

    def __call__(
        self,
        input_ids: Int[Tensor, "rows tokens"],
        scores: Float[Tensor, "rows vocabulary"],
    ) -> Float[Tensor, "rows vocabulary"]:
        """Mix them in."""
        return self.mixed.next(scores, input_ids[:, self.start :])


class SeparateRows:
    """What has a say in each row of a batch, each by itself; none in some.

    Args:
        rows: One a row.
    """

    def __init__(self, rows: Sequence[NextTokens | None]) -> None:
        self.rows = rows

    def scored(
        self, log_probabilities: Float[Tensor, "batch tokens"], answers: Int[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens"]:
        """Give the log-probabilities of given answers' tokens."""
        pairs = zip(self.rows, log_probabilities.split(1), answers.split(1), strict=True)
        return torch.cat([each.scored(own, given) if each else own for each, own, given in pairs])

    def next(
        self, scores: Float[Tensor, "rows vocabulary"], answers: Int[Tensor, "rows tokens"]
    ) -> Float[Tensor, "rows vocabulary"]:
        """Give what each row's next tokens are chosen by: logits, where nothing has a say."""
        beams = len(scores) // len(self.rows)
        pairs = zip(self.rows, scores.split(beams), answers.split(beams), strict=True)
        return torch.cat([each.next(own, given) if each else own for each, own, given in pairs])

    def row(self, at: int) -> NextTokens:
        """Give what has a say in one row."""
        return SeparateRows([self.rows[at]])
