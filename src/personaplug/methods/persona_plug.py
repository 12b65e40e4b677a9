"""A trained plug as a method: the persona, or the tuned prompt that is its control."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from personaplug.evaluation.attention import ExampleAttention
from personaplug.methods.prompted import targets
from personaplug.plug.backbone import GenerationConfig
from personaplug.plug.model import PersonaPlug
from personaplug.plug.prefix import TunedPrefix
from personaplug.records import Example
from personaplug.store.base import VECTOR_TYPE


@dataclass(frozen=True, slots=True)
class PlugMethod:
    """Answers with a trained prefix before the input.

    Attributes:
        name: In tables.
        plug: The trained plug.
        generation: How to decode.
    """

    name: str
    plug: PersonaPlug
    generation: GenerationConfig

    def respond(self, examples: Sequence[Example]) -> list[str]:
        """Answer each example in the way of its profile's user."""
        return self.plug.respond(examples, self.generation)

    def log_likelihood(self, examples: Sequence[Example]) -> Float[np.ndarray, " examples"]:
        """Give the mean log-probability of a right answer's token, in nats."""
        tokens = self.answer_tokens(examples)
        means: Float[np.ndarray, " examples"] = self.plug.score(examples).log_likelihood.cpu().numpy() / tokens
        return means

    def answer_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the right answers' tokens, their end included."""
        limit = self.plug.run.training.max_output_tokens
        return np.array(self.plug.backbone.count_answer_tokens(targets(examples), max_tokens=limit))

    @torch.inference_mode()
    def prompt_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the tokens that the language model reads of each example, and the vectors before them."""
        counts: Int[np.ndarray, " examples"] = (
            self.plug.inputs(self.plug.batcher(examples)).mask.sum(dim=1).cpu().numpy()
        )
        return counts

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the bytes of the items' vectors in the store, and of texts that may be put into the prompt.

        A tuned prompt keeps nothing of its own.
        """
        batcher = self.plug.batcher
        layout, items = batcher.source.layout if batcher.source else None, batcher.prompts.items
        each = len(layout.views) * layout.dim * VECTOR_TYPE.itemsize if layout else 0
        vectors = np.array([each * len(batcher.seen(example).items) for example in examples])
        return np.asarray(vectors + [items.kept(example) if items else 0 for example in examples])

    def attention(self, examples: Sequence[Example]) -> list[ExampleAttention]:
        """Measure where the attention goes; nothing for a tuned prompt, which has none."""
        if isinstance(self.plug.prefix, TunedPrefix):
            return []
        measured = [memories for memories in self.plug.memories(examples) if len(memories) > 1]
        return [
            ExampleAttention.of(
                np.array([memory.weights for memory in memories]).T,
                np.array([memory.age_days for memory in memories]),
                np.array([memory.similarity for memory in memories]),
            )
            for memories in measured
        ]
