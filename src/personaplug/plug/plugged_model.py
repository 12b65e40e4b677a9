"""A frozen language model with a persona plugged in, as it is trained and measured: by examples."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from personaplug.backbone.base import AnswerScores, Backbone, GenerationConfig
from personaplug.backbone.tokens import TokenEmbeddings, below
from personaplug.embedder.copy_head import CopyHead, Copying
from personaplug.errors import ConfigError
from personaplug.plug.batch import Batcher, PlugBatch
from personaplug.plug.memory import Memory, weigh
from personaplug.plug.prefix import Prefix, TunedPrefix
from personaplug.plug.prompts import Prompts
from personaplug.plug.queries import QueryVectors
from personaplug.plug.run import RunConfig
from personaplug.plug.shared_adapter import SharedAdapter
from personaplug.plug.weights import Parts
from personaplug.records import Example, Profile
from personaplug.store.base import VectorSource
from personaplug.tasks.task import Task


class PluggedModel(nn.Module):
    """Answers examples, each in the way that its own history shows.

    Only the prefix, the adapter and the copy head have weights that train; the language model is no part of the module
    tree.

    Args:
        prefix: Makes the vectors before, inside or after the input.
        backbone: The frozen language model.
        batcher: Makes batches of the run's task.
        run: How all this was made.
        adapter: Of all users, beside the language model while it answers with what the plug gives it.
        copy_head: Lets the user's own words have a say in the next one.
    """

    def __init__(
        self,
        prefix: Prefix,
        backbone: Backbone,
        *,
        batcher: Batcher,
        run: RunConfig,
        adapter: SharedAdapter | None = None,
        copy_head: CopyHead | None = None,
    ) -> None:
        super().__init__()
        self.prefix = prefix.to(backbone.device)
        self.adapter = adapter.to(backbone.device) if adapter else None
        self.copy_head = copy_head.to(backbone.device) if copy_head else None
        self.backbone = backbone
        self.batcher = batcher
        self.run = run

    @property
    def parts(self) -> Parts:
        """What trains: the prefix, and the adapter and the copy head where there are such."""
        return self.prefix, self.adapter, self.copy_head

    @property
    def task(self) -> Task:
        """The run's task."""
        return self.batcher.task

    @property
    def prompts(self) -> Prompts:
        """Writes what the language model reads of an example."""
        return self.batcher.prompts

    @property
    def query_vectors(self) -> QueryVectors | None:
        """Encodes queries; None where the query encoder is trained, or no history is read."""
        return self.batcher.query_vectors

    @property
    def source(self) -> VectorSource | None:
        """Holds the vectors of users' histories; None where no history is read."""
        return self.batcher.source

    @property
    def tokens_behind(self) -> int:
        """Count the tokens at the end of every input that vectors stand before, or that the adapter reads."""
        is_inside = self.run.vectors > 0 and self.run.embedder.place == "inside"
        return self.backbone.closing_tokens if self.adapter or is_inside else 0

    def query(self, example: Example) -> str:
        """Read an example's query out of its input."""
        return self.batcher.query(example)

    def seen(self, example: Example) -> Profile:
        """Give the part of an example's history that the persona is made of."""
        return self.batcher.seen(example)

    def read_from(self, source: VectorSource) -> None:
        """Take the vectors of histories from another source of the same layout, such as a store's snapshot."""
        self.batcher.source = source

    def forward(self, batch: PlugBatch) -> dict[str, Tensor]:
        """Give the loss of a batch as the trainer wants it."""
        return {"loss": self.loss(batch)}

    def loss(self, batch: PlugBatch) -> Float[Tensor, ""]:
        """Give the mean negative log-likelihood of an answer token, in nats.

        Where the adapter is to answer alone too, a training reads each example twice: with all that the plug puts
        beside it, and with the adapter alone. The gradients are of both, the loss is that of the former. An example
        without anything to put beside it teaches once.
        """
        longest = self.run.training.max_output_tokens
        if not (self.training and self.run.learns_alone_too):
            return self.backbone.loss(self.inputs(batch), batch.targets, max_tokens=longest)
        embedded = self._embedded_prompts(batch)
        both = self._adapted(below(self._with_persona(embedded, batch), self._without_persona(embedded)))
        scores = self.backbone.score(both, 2 * batch.targets, max_tokens=longest)
        likely, tokens = scores.log_likelihood.view(2, -1), scores.tokens.view(2, -1).sum(dim=1)
        is_taught = torch.tensor(both.has_vectors, device=likely.device).view(2, -1)[0]
        whole = -torch.where(is_taught, likely[0], likely[0].detach()).sum() / tokens[0]
        alone = -likely[1].sum() / tokens[1]
        loss: Tensor = whole + alone - alone.detach()
        return loss

    @torch.inference_mode()
    def score(self, examples: Sequence[Example]) -> AnswerScores:
        """Give the log-likelihood of each example's right answer."""
        batch = self.batcher(examples)
        return self.backbone.score(self.inputs(batch), batch.targets, max_tokens=self.run.training.max_output_tokens)

    @torch.inference_mode()
    def respond(
        self, examples: Sequence[Example], config: GenerationConfig | None = None, *, with_persona: bool = True
    ) -> list[str]:
        """Answer a batch of examples, of as many users as may be.

        Without persona the bare language model answers: nothing of the user stands beside the input, nor an item.
        """
        return self.backbone.generate(self.embedded(examples, with_persona=with_persona), config or self.run.decoding)

    @torch.inference_mode()
    def memories(self, examples: Sequence[Example]) -> list[list[Memory]]:
        """Weigh the memories of each example's history, oldest first.

        Raises:
            ConfigError: This run has no persona.
        """
        if isinstance(self.prefix, TunedPrefix):
            raise ConfigError("a tuned prompt has no memories to weigh", hint="give the run of a plug")
        batch = self.batcher(examples).to(self.backbone.device)
        return weigh(self.prefix, batch, histories=[self.seen(example).items for example in examples])

    def inputs(self, batch: PlugBatch) -> TokenEmbeddings:
        """Put the vectors of each example into its embedded prompt."""
        return self._adapted(self._with_persona(self._embedded_prompts(batch), batch))

    def _embedded_prompts(self, batch: PlugBatch) -> TokenEmbeddings:
        return self.backbone.embed(batch.prompts, max_tokens=self.prompts.max_tokens)

    def _with_persona(self, embedded: TokenEmbeddings, batch: PlugBatch) -> TokenEmbeddings:
        batch = batch.to(self.backbone.device)
        inputs = self._with_vectors(embedded, self.prefix(batch), is_there=self.prefix.is_there(batch))
        if self.copy_head and batch.written:
            inputs = replace(inputs, mixed=Copying(self.copy_head, batch.written, self.run.copying.boost))
        return inputs

    def _adapted(self, inputs: TokenEmbeddings) -> TokenEmbeddings:
        adapter, is_behind = self.adapter, self.run.reads_inputs_alone
        return adapter.joined(inputs, self.backbone.model, is_behind=is_behind) if adapter else inputs

    def _without_persona(self, embedded: TokenEmbeddings) -> TokenEmbeddings:
        """Leave the room of the vectors, and nothing copied: what stands beside the model is that of the others."""
        nothing = embedded.embeds.new_zeros(len(embedded.embeds), self.run.vectors, self.backbone.dim)
        return self._with_vectors(embedded, nothing, is_there=torch.zeros_like(nothing[..., 0], dtype=torch.bool))

    def _with_vectors(
        self,
        embedded: TokenEmbeddings,
        vectors: Float[Tensor, "batch prefix llm_dim"],
        *,
        is_there: Bool[Tensor, "batch prefix"],
    ) -> TokenEmbeddings:
        place, closing = self.run.embedder.place, self.backbone.closing_tokens
        return embedded.with_prefix(vectors, place=place, is_there=is_there, closing=closing)

    def embedded(self, examples: Sequence[Example], *, with_persona: bool = True) -> TokenEmbeddings:
        """Write the examples as :meth:`respond` has them answered."""
        if with_persona:
            return self.inputs(self.batcher(examples))
        return self.backbone.embed(self.prompts.plain(examples), max_tokens=self.run.training.max_input_tokens)
