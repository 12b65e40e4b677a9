"""A trained plug as a method: the persona, or the tuned prompt that is its control."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.tokens import TokenEmbeddings
from personaplug.embedder.projector import Projector
from personaplug.evaluation.attention import ExampleAttention
from personaplug.methods.batch_cache import BatchCache
from personaplug.methods.prompted import targets
from personaplug.plug.batch import PlugBatch
from personaplug.plug.memory import weigh
from personaplug.plug.model import PersonaPlug
from personaplug.plug.prefix import TunedPrefix
from personaplug.records import Example
from personaplug.store.base import VECTOR_TYPE


class PlugMethod:
    """Answers with a trained prefix before, inside or after the input.

    What else is asked about the examples that were answered last does not read them again.

    Args:
        name: In tables.
        plug: The trained plug, whose weights stay as they are.
        generation: How to decode.
    """

    def __init__(self, name: str, plug: PersonaPlug, generation: GenerationConfig) -> None:
        self.name = name
        self.plug = plug
        self.generation = generation
        self._asked = BatchCache(self._read)

    def prepare(self, examples: Sequence[Example]) -> None:
        """Have the examples' items encoded where retrieval does it itself: a store's are before anybody asks."""
        if items := self.plug.prompts.items:
            items.prepare(examples)

    def respond(self, examples: Sequence[Example]) -> list[str]:
        """Answer each example in the way of its profile's user; all the work is done, for it may be timed."""
        return self.plug.backbone.generate(self._asked.anew(examples)[1], self.generation)

    @torch.inference_mode()
    def log_likelihood(self, examples: Sequence[Example]) -> Float[np.ndarray, " examples"]:
        """Give the mean log-probability of a right answer's token, in nats."""
        tokens, (batch, inputs) = self.answer_tokens(examples), self._asked(examples)
        limit = self.plug.run.training.max_output_tokens
        scores = self.plug.backbone.score(inputs, batch.targets, max_tokens=limit)
        means: Float[np.ndarray, " examples"] = scores.log_likelihood.cpu().numpy() / tokens
        return means

    def answer_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the right answers' tokens, their end included."""
        limit = self.plug.run.training.max_output_tokens
        return np.array(self.plug.backbone.count_answer_tokens(targets(examples), max_tokens=limit))

    def prompt_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the tokens that the language model reads of each example, and the vectors beside them."""
        counts: Int[np.ndarray, " examples"] = self._asked(examples)[1].mask.sum(dim=1).cpu().numpy()
        return counts

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the bytes of the items' vectors that are read, and of texts that may be put into the prompt.

        A tuned prompt keeps nothing of its own.
        """
        items, each = self.plug.prompts.items, self._item_bytes()
        kept = np.array([each * len(self.plug.seen(example).items) + self._text_bytes(example) for example in examples])
        return np.asarray(kept + items.user_bytes(examples)) if items else kept

    @torch.inference_mode()
    def attention(self, examples: Sequence[Example]) -> list[ExampleAttention]:
        """Measure where the attention goes; nothing for a tuned prompt, which has none."""
        prefix = self.plug.prefix
        if isinstance(prefix, TunedPrefix):
            return []
        batch = self._asked(examples)[0].to(self.plug.backbone.device)
        histories = [self.plug.seen(example).items for example in examples]
        measured = [memories for memories in weigh(prefix, batch, histories=histories) if len(memories) > 1]
        return [
            ExampleAttention.of(
                np.array([memory.weights for memory in memories]).T,
                np.array([memory.age_days for memory in memories]),
                np.array([memory.similarity for memory in memories]),
            )
            for memories in measured
        ]

    def _item_bytes(self) -> int:
        """Count the bytes of an item's vectors: of the views that a persona is made of, the attention's among them."""
        source, prefix = self.plug.source, self.plug.prefix
        if source is None or isinstance(prefix, TunedPrefix):
            return 0
        config, projector = prefix.embedder.config, prefix.embedder.projector
        views = projector.views if isinstance(projector, Projector) else int(config.compares)
        return views * source.layout.dim * VECTOR_TYPE.itemsize

    def _text_bytes(self, example: Example) -> int:
        """Count the bytes of the outputs that a persona made of them reads, unless items' whole texts are counted."""
        run = self.plug.run
        reads_outputs = run.copies or (run.has_persona and run.embedder.reads_outputs)
        if not reads_outputs or self.plug.prompts.items:
            return 0
        return sum(len(item.output.encode()) for item in self.plug.seen(example).items)

    @torch.inference_mode()
    def _read(self, examples: Sequence[Example]) -> tuple[PlugBatch, TokenEmbeddings]:
        """Read as much of the inputs as answers and likelihoods share."""
        batch = self.plug.batcher(examples)
        return batch, self.plug.backbone.read_ahead(self.plug.inputs(batch), self.generation)
