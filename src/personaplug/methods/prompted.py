"""The frozen language model with a written prompt and nothing else: ``plain``, and every retrieval prompt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int

from personaplug.methods.last_asked import LastAsked
from personaplug.plug.backbone import Backbone, GenerationConfig
from personaplug.plug.tokens import TokenEmbeddings
from personaplug.records import Example


def nothing_made(_: object) -> None:
    """Make nothing of what is about to be asked."""


def nothing_kept(_: Example) -> int:
    """Say that nothing is kept of an example's user."""
    return 0


@dataclass(frozen=True, slots=True)
class Prompted:
    """Answers prompts with the bare language model.

    What else is asked about the examples that were answered last does not write their prompts again.

    Attributes:
        name: In tables.
        backbone: The frozen language model.
        write: Writes a batch's prompts.
        generation: How to decode.
        max_input_tokens: Longer prompts are cut at their end.
        max_output_tokens: Longer right answers are cut where their likelihood is measured.
        kept: Counts the bytes that the prompt needs to be kept of an example's user.
        index: Makes what is kept of an example's user and is not in the log, such as vectors of items.
        reads: Gives all that the language model reads to answer each example; None for the written prompt alone.
    """

    name: str
    backbone: Backbone
    write: Callable[[Sequence[Example]], Sequence[str]]
    generation: GenerationConfig
    max_input_tokens: int = 256
    max_output_tokens: int = 128
    kept: Callable[[Example], int] = nothing_kept
    index: Callable[[Example], object] = nothing_made
    reads: Callable[[Sequence[Example]], Sequence[Sequence[str]]] | None = None
    _prompts: LastAsked[Sequence[str]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_prompts", LastAsked(self.write))

    def prepare(self, examples: Sequence[Example]) -> None:
        """Make what is kept of the examples' users."""
        for example in examples:
            self.index(example)

    def respond(self, examples: Sequence[Example]) -> list[str]:
        """Answer each example."""
        return self.backbone.generate(self._embedded(self._prompts.anew(examples)), self.generation)

    def log_likelihood(self, examples: Sequence[Example]) -> Float[np.ndarray, " examples"]:
        """Give the mean log-probability of a right answer's token, in nats."""
        with torch.inference_mode():
            inputs = self._embedded(self._prompts(examples))
            scores = self.backbone.score(inputs, targets(examples), max_tokens=self.max_output_tokens)
        means: Float[np.ndarray, " examples"] = (scores.log_likelihood / scores.tokens).cpu().numpy()
        return means

    def answer_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the right answers' tokens, their end included."""
        return np.array(self.backbone.count_answer_tokens(targets(examples), max_tokens=self.max_output_tokens))

    def prompt_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the tokens that the language model reads to answer each example, in one prompt or several."""
        read = self.reads(examples) if self.reads else [[prompt] for prompt in self._prompts(examples)]
        return np.array([self._count(prompts) for prompts in read])

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the bytes kept of each example's user."""
        return np.array([self.kept(example) for example in examples])

    def _embedded(self, prompts: Sequence[str]) -> TokenEmbeddings:
        return self.backbone.embed(prompts, max_tokens=self.max_input_tokens)

    def _count(self, prompts: Sequence[str]) -> int:
        return int(self._embedded(prompts).mask.sum())


def targets(examples: Sequence[Example]) -> list[str]:
    """Collect the right answers.

    Raises:
        ValueError: An example has none.
    """
    known = [example.target for example in examples if example.target is not None]
    if len(known) < len(examples):
        raise ValueError("the likelihood of an answer that is not known cannot be measured")
    return known
