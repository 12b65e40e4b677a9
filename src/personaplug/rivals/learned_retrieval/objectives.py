"""How a choice is learned from a language model's scores: by distillation or policy gradient (arXiv 2404.05970)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from personaplug.rivals.learned_retrieval.candidates import CandidateSet
from personaplug.rivals.learned_retrieval.score_cache import ScoreRequest

Scores = Callable[[Sequence[ScoreRequest]], Sequence[float]]
Logits = Float[Tensor, "batch options"]
"""One a choice's option; minus infinity where a choice has fewer options."""


@dataclass(frozen=True, slots=True)
class Distillation:
    """The chooser's softmax learns the softmax of the scores, by their Kullback-Leibler divergence in nats.

    The divergence is of the chooser from the scores, KL(scores || chooser): the gradient of a cross-entropy.

    Attributes:
        score: Says what a prompt is worth.
        temperature: Of the softmax of the scores.
    """

    score: Scores
    temperature: float

    def __call__(self, logits: Logits, choices: Sequence[CandidateSet]) -> Float[Tensor, ""]:
        """Give the mean over the choices."""
        wanted = torch.softmax(option_scores(choices, self.score).to(logits) / self.temperature, dim=1)
        is_real = logits > -torch.inf
        held = logits.log_softmax(dim=1).masked_fill(~is_real, 0.0)
        return (torch.xlogy(wanted, wanted) - wanted * held).sum(dim=1).mean()


@dataclass(frozen=True, slots=True)
class PolicyGradient:
    """REINFORCE: an option is drawn, and made likelier by as much as its score is above that of the first option.

    Attributes:
        score: Says what a prompt is worth.
        draw: Draws the options, on the CPU.
    """

    score: Scores
    draw: torch.Generator = field(default_factory=torch.Generator)

    def __call__(self, logits: Logits, choices: Sequence[CandidateSet]) -> Float[Tensor, ""]:
        """Give the mean over the choices; its gradient, not its value, means something."""
        held = logits.log_softmax(dim=1)
        drawn = torch.multinomial(held.detach().exp().cpu(), 1, generator=self.draw)[:, 0].tolist()
        rewards = self._worth(choices, drawn) - self._worth(choices, [0] * len(choices))
        return -(rewards.to(logits) * held[range(len(choices)), drawn]).mean()

    def _worth(self, choices: Sequence[CandidateSet], places: Sequence[int]) -> Float[Tensor, " batch"]:
        asked = [ScoreRequest(choice.prompts[at], choice.target) for choice, at in zip(choices, places, strict=True)]
        return torch.tensor(self.score(asked))


def option_scores(choices: Sequence[CandidateSet], score: Scores) -> Float[Tensor, "batch options"]:
    """Score every option of every choice; minus infinity stands where a choice has fewer."""
    questions = [ScoreRequest(prompt, choice.target) for choice in choices for prompt in choice.prompts]
    rows = torch.tensor(score(questions)).split([len(choice.prompts) for choice in choices])
    return pad_sequence(list(rows), batch_first=True, padding_value=-torch.inf)
