"""Copy the user's own words: what followed the answer's last tokens in the user's history may follow again.

A cache language model (arXiv 1612.04426) of each user's outputs. Its places are found by runs of tokens, not by hidden
states, so that nothing is stored and nothing is trained for a user. A gate, the same for all users, says how much of
the next token's probability it has: a mixture, as in arXiv 1609.07843. The gate sees how long the runs are that are
found, how often they are, and how sure what follows is. Who has written nothing has the language model's own words.
"""

from dataclasses import dataclass
from math import inf, log

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from personaplug.config import option
from personaplug.embedder.written import BEGINNING, NOTHING, Written, last_tokens

_FEATURES = 4
"""What the gate sees of each order."""

_LANGUAGE_MODEL = 3.0
"""How far ahead of each order the language model begins, in logits: of five orders together it has four fifths."""

_NEVER = -1e9
_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class CopyingConfig:
    """What of the user's own words may be copied."""

    order: int = option(4, "persona: longest run of tokens by which the user's own words are found again; 0 for none")
    tokens: int = option(2048, "the latest so many tokens of a user's outputs are looked through")
    boost: float = option(8.0, "in writing, copying makes a token at most so many times likelier than it is by itself")

    def __post_init__(self) -> None:
        if self.order < 0 or self.tokens < 1 or not self.boost >= 1:
            raise ValueError(
                f"order {self.order} must be 0 or more, tokens {self.tokens}, boost {self.boost} at least 1"
            )


@dataclass(frozen=True, slots=True)
class Copies:
    """What may be copied at each step of answers.

    Attributes:
        own: Log of the share that the language model's own probabilities have.
        chances: Probability of each of the user's distinct tokens, with the orders' shares in it.
    """

    own: Float[Tensor, "batch steps"]
    chances: Float[Tensor, "batch steps distinct"]


class CopyHead(nn.Module):
    """Mixes what a user wrote into the next token's probabilities.

    Args:
        order: Longest run of tokens by which places are found: those after 0, 1, ..., ``order`` of the same tokens each
            have a share of their own.
    """

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = order
        self.gate = nn.Linear(_FEATURES * (order + 1) + 1, order + 2)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, written: Written, before: Int[Tensor, "batch steps order"]) -> Copies:
        """Find places after the same tokens, and say what follows there.

        Args:
            written: Of each row's user.
            before: The answer's last tokens at each step, the nearest last.
        """
        counts = _counts(written, before)
        found = counts.sum(dim=-1)
        chances = counts / found.clamp(min=1.0)[..., None]
        shares = self._shares(found, chances.amax(dim=-1), is_first=(before == BEGINNING).all(dim=-1))
        return Copies(shares[..., 0], (shares[..., 1:, None].exp() * chances).sum(dim=-2))

    def _shares(
        self,
        found: Float[Tensor, "batch steps orders"],
        surest: Float[Tensor, "batch steps orders"],
        *,
        is_first: Bool[Tensor, "batch steps"],
    ) -> Float[Tensor, "batch steps shares"]:
        """Give the logs of the shares: the language model's, then each order's; an order without a place has none."""
        is_found, often = found > 0, found.log1p()
        seen = torch.stack([is_found.float(), often, surest, surest * often], dim=-1).flatten(-2)
        logits = self.gate(torch.cat([seen, is_first[..., None].float()], dim=-1))
        orders = logits[..., 1:].masked_fill(~is_found, _NEVER)
        shares: Tensor = torch.cat([logits[..., :1] + _LANGUAGE_MODEL, orders], dim=-1).log_softmax(dim=-1)
        return shares


@dataclass(frozen=True, slots=True)
class Copying:
    """A copy head over what the users of a batch wrote, as a language model's answers go through it.

    Attributes:
        head: Finds and weighs.
        written: By each row's user.
        boost: In writing, how many times likelier a token may become. What was just copied is found again, and its
            place goes on: without a bound an answer that begins as an old one ends as that one.
    """

    head: CopyHead
    written: Written
    boost: float = inf

    def scored(
        self, log_probabilities: Float[Tensor, "batch tokens"], answers: Int[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens"]:
        """Give the log-probabilities of given answers' tokens, from those that the language model gives them.

        The gradient is straight-through: what trains the language model learns as if alone, and the gate over it.
        Else it need not learn what can be copied, and could not write it where copying is bounded.
        """
        copies = self.head(self.written, last_tokens(answers, order=self.head.order, each=True))
        is_it = self.written.distinct[:, None] == answers[..., None]
        copied = (copies.chances * is_it).sum(dim=-1)
        alone = log_probabilities.detach()
        mixed = torch.logaddexp(copies.own + alone, copied.clamp(min=_TINY).log())
        return mixed + (log_probabilities - alone)

    def next(
        self, scores: Float[Tensor, "rows vocabulary"], answers: Int[Tensor, "rows tokens"]
    ) -> Float[Tensor, "rows vocabulary"]:
        """Give the log-probabilities of the next tokens, from the language model's logits; rows may be beams.

        Without gradients: scores are changed in place.
        """
        written = self.written.repeated(len(scores) // len(self.written.tokens))
        copies = self.head(written, last_tokens(answers, order=self.head.order))
        tokens, is_token = written.distinct.clamp(min=0), written.distinct != NOTHING
        own = functional.log_softmax(scores.float(), dim=-1)
        theirs = own.gather(1, tokens)
        gain = self._gain(theirs, copies, is_token=is_token)
        return own.scatter_add_(1, tokens, gain).sub_(_added(theirs, gain).log1p())

    def row(self, at: int) -> "Copying":
        """Give what has a say in one row."""
        return Copying(self.head, self.written.row(at), self.boost)

    def _gain(
        self, own: Float[Tensor, "rows distinct"], copies: Copies, *, is_token: Bool[Tensor, "rows distinct"]
    ) -> Float[Tensor, "rows distinct"]:
        """Say, as a log, how many times likelier each of the user's tokens becomes; what is forbidden stays so."""
        copied = copies.chances[:, 0] * is_token
        gain = torch.logaddexp(own, copied.log() - copies.own) - own
        return gain.clamp(max=log(self.boost)).where((copied > 0) & own.isfinite(), 0.0)


def _added(own: Float[Tensor, "rows distinct"], gain: Float[Tensor, "rows distinct"]) -> Float[Tensor, "rows 1"]:
    """Sum up the probability that gains add."""
    return ((own + gain).exp() - own.exp()).sum(dim=-1, keepdim=True)


def _counts(written: Written, before: Int[Tensor, "batch steps order"]) -> Float[Tensor, "batch steps orders distinct"]:
    """Count what stands after 0, 1, ... of the same tokens, the nearest first."""
    is_same = written.before[:, None] == before[:, :, None]
    run = is_same.flip(-1).cumprod(dim=-1).sum(dim=-1)
    batch, steps, _ = run.shape
    orders, distinct = before.shape[-1] + 1, written.distinct.shape[-1]
    is_place = (written.tokens != NOTHING)[:, None].expand_as(run)
    where = run * distinct + written.tokens.clamp(min=0)[:, None]
    exact = torch.zeros(batch, steps, orders * distinct, device=run.device).scatter_add(2, where, is_place.float())
    return exact.view(batch, steps, orders, distinct).flip(-2).cumsum(dim=-2).flip(-2)
