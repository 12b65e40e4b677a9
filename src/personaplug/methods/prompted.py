"""The frozen language model with a written prompt and nothing else: ``plain``, and every prompt of a user's texts."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from personaplug.backbone.base import Backbone, GenerationConfig
from personaplug.backbone.tokens import TokenEmbeddings
from personaplug.methods.batch_cache import BatchCache
from personaplug.methods.prompt_writer import PromptWriter
from personaplug.records import Example

Joined = Callable[[TokenEmbeddings], TokenEmbeddings]


def alone(inputs: TokenEmbeddings) -> TokenEmbeddings:
    """Have nothing stand beside the language model."""
    return inputs


class Prompted:
    """Answers prompts with the bare language model.

    What else is asked about the examples that were answered last does not write their prompts again.

    Args:
        name: In tables.
        backbone: The frozen language model.
        writer: Writes the prompts; its longest is the longest that is read.
        generation: How to decode.
        max_output_tokens: Longer right answers are cut where their likelihood is measured.
        joined: Has something stand beside the language model where it reads embedded prompts.
    """

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        *,
        writer: PromptWriter,
        generation: GenerationConfig,
        max_output_tokens: int = 128,
        joined: Joined = alone,
    ) -> None:
        self.name = name
        self.backbone = backbone
        self.writer = writer
        self.generation = generation
        self.max_output_tokens = max_output_tokens
        self.joined = joined
        self._asked = BatchCache(self._read)

    def with_writer(self, writer: PromptWriter, *, name: str) -> "Prompted":
        """Ask the same language model in the same way, with other prompts."""
        return self._again(name=name, writer=writer, joined=self.joined)

    def joined_by(self, joined: Joined) -> "Prompted":
        """Ask in the same way, with something beside the language model."""
        return self._again(name=self.name, writer=self.writer, joined=joined)

    def prepare(self, examples: Sequence[Example]) -> None:
        """Make what is kept of the examples' users."""
        self.writer.prepare(examples)

    def respond(self, examples: Sequence[Example]) -> list[str]:
        """Answer each example; all the work is done, for it may be timed."""
        return self.backbone.generate(self._asked.anew(examples)[1], self.generation)

    def log_likelihood(self, examples: Sequence[Example]) -> Float[np.ndarray, " examples"]:
        """Give the mean log-probability of a right answer's token, in nats."""
        inputs = self._asked(examples)[1]
        with torch.inference_mode():
            scores = self.backbone.score(inputs, targets(examples), max_tokens=self.max_output_tokens)
        means: Float[np.ndarray, " examples"] = (scores.log_likelihood / scores.tokens).cpu().numpy()
        return means

    def answer_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the right answers' tokens, their end included."""
        return np.array(self.backbone.count_answer_tokens(targets(examples), max_tokens=self.max_output_tokens))

    def prompt_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the tokens that the language model reads to answer each example, in one prompt or several."""
        return np.array([self._count(prompts) for prompts in self._asked(examples)[0]])

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the bytes kept of each example's user."""
        return self.writer.user_bytes(examples)

    @torch.inference_mode()
    def _read(self, examples: Sequence[Example]) -> tuple[Sequence[Sequence[str]], TokenEmbeddings]:
        """Read as much of the prompts as answers and likelihoods share."""
        reads = self.writer.reads(examples)
        return reads, self.backbone.read_ahead(self._embedded([prompts[-1] for prompts in reads]), self.generation)

    def _again(self, *, name: str, writer: PromptWriter, joined: Joined) -> "Prompted":
        return Prompted(
            name,
            self.backbone,
            writer=writer,
            generation=self.generation,
            max_output_tokens=self.max_output_tokens,
            joined=joined,
        )

    def _embedded(self, prompts: Sequence[str]) -> TokenEmbeddings:
        return self.joined(self.backbone.embed(prompts, max_tokens=self.writer.max_tokens))

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
