"""What a user wrote before, as places where a token follows others: where the next words may be copied from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

BEGINNING = -1
"""Stands before an output's first token, so that an answer's beginning is found like any other place."""

NOTHING = -2
"""Stands where there is no token."""


@dataclass(frozen=True, slots=True)
class Written:
    """The outputs of users' histories, token by token, one row a user; :data:`NOTHING` is padding.

    Attributes:
        before: Tokens before each place, the nearest last; :data:`BEGINNING` before an output.
        tokens: What stands there, as numbers of ``distinct``.
        distinct: The user's tokens, each once.
    """

    before: Int[Tensor, "batch places order"]
    tokens: Int[Tensor, "batch places"]
    distinct: Int[Tensor, "batch distinct"]

    @classmethod
    def of(cls, outputs: Sequence[Int[Tensor, " _"]], *, order: int, most: int) -> "Written":
        """Read one user's outputs, the oldest first; of all their places the latest ``most`` stay."""
        beginning = torch.full((order,), BEGINNING)
        whole = [torch.cat([beginning, output.long()]) for output in outputs if len(output)]
        windows = [each.unfold(0, order + 1, 1) for each in whole]
        if not windows:
            return cls(torch.full((1, 1, order), NOTHING), torch.full((1, 1), NOTHING), torch.full((1, 1), NOTHING))
        places = torch.cat(windows)[-most:]
        distinct, tokens = places[:, -1].unique(return_inverse=True)
        return cls(places[None, :, :-1], tokens[None], distinct[None])

    @classmethod
    def pack(cls, users: "Sequence[Written]") -> "Written":
        """Put users side by side; at least one must be given, all of one order."""
        before, tokens, distinct = (
            pad_sequence([row for rows in part for row in rows], batch_first=True, padding_value=NOTHING)
            for part in zip(*((each.before, each.tokens, each.distinct) for each in users), strict=True)
        )
        return cls(before, tokens, distinct)

    def to(self, device: torch.device) -> "Written":
        """Move to a device."""
        return Written(self.before.to(device), self.tokens.to(device), self.distinct.to(device))

    def row(self, at: int) -> "Written":
        """Give one row."""
        return Written(self.before[at : at + 1], self.tokens[at : at + 1], self.distinct[at : at + 1])

    def repeated(self, times: int) -> "Written":
        """Have each row so often side by side, as beams of a query are."""
        if times == 1:
            return self
        return Written(*(each.repeat_interleave(times, dim=0) for each in (self.before, self.tokens, self.distinct)))


def last_tokens(
    answers: Int[Tensor, "batch tokens"], *, order: int, each: bool = False
) -> Int[Tensor, "batch steps order"]:
    """Give the tokens before what comes next in answers, or before each of their tokens, the nearest last."""
    beginning = answers.new_full((len(answers), order), BEGINNING)
    whole = torch.cat([beginning, answers], dim=1)
    windows = whole.unfold(1, order, 1)
    return windows[:, :-1] if each else windows[:, -1:]
