"""A frozen language model with a persona plugged in."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from personaplug.backbone.base import AnswerScores, Backbone, GenerationConfig
from personaplug.backbone.loading import load_backbone
from personaplug.backbone.tokens import TokenEmbeddings
from personaplug.embedder.copy_head import CopyHead, Copying
from personaplug.embedder.encoder import TextEncoder
from personaplug.errors import ConfigError, UnknownUserError
from personaplug.plug.batch import Batcher, PlugBatch
from personaplug.plug.encoders import check_layout, encoder_of_store, load_encoder
from personaplug.plug.memory import Memory, weigh
from personaplug.plug.parts import build_adapter, build_batcher, build_copy_head, build_prefix, needed_store
from personaplug.plug.prefix import Prefix, TunedPrefix
from personaplug.plug.prompts import Prompts
from personaplug.plug.queries import QueryVectors
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import read_config
from personaplug.plug.run_folder import CONFIG, check_is_run, task_of, write_run
from personaplug.plug.shared_adapter import SharedAdapter
from personaplug.plug.weights import Parts, take_weights, write_weights
from personaplug.records import Example, Profile
from personaplug.store.base import VectorSource
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Task

_GIVE_A_STORE = "open it with one: PersonaPlug.from_pretrained(..., store=PersonaStore.open(...))"


class PersonaPlug(nn.Module):
    """Answers in each user's way.

    Only the prefix and the adapter have weights that train; the language model is no part of the module tree.

    Args:
        prefix: Makes the vectors before or after the input.
        backbone: The frozen language model.
        batcher: Makes batches of the run's task.
        run: How all this was made.
        store: Where ``generate(..., user=...)`` finds histories; None where only examples are answered.
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
        store: PersonaStore | None = None,
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
        self.store = store

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        *,
        store: PersonaStore | None = None,
        device: str = "cpu",
        query_source: QuerySource = QuerySource.STORE,
        backbone: Backbone | None = None,
    ) -> "PersonaPlug":
        """Load a run folder.

        Args:
            folder: As written by :meth:`save_pretrained`.
            store: The users' histories, encoded by the run's encoder.
            device: Where to compute.
            query_source: Where the vectors of queries come from. The default is for answering; who measures says it.
            backbone: The run's language model, where it is loaded already.

        Raises:
            ConfigError: The folder is no run, or its parts do not fit.
            FingerprintMismatchError: The store's vectors are another encoder's.
        """
        folder = Path(folder)
        check_is_run(folder)
        run, task = read_config(RunConfig, folder / CONFIG), task_of(folder)
        plug = build_plug(run, task, store=store, device=device, query_source=query_source, backbone=backbone)
        take_weights(plug.parts, folder)
        return plug.eval()

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

    def query(self, example: Example) -> str:
        """Read an example's query out of its input."""
        return self.batcher.query(example)

    def seen(self, example: Example) -> Profile:
        """Give the part of an example's history that the persona is made of."""
        return self.batcher.seen(example)

    def read_from(self, source: VectorSource) -> None:
        """Take the vectors of histories from another source of the same layout, such as a store's snapshot."""
        self.batcher.source = source

    def over(self, store: PersonaStore, encoder: TextEncoder) -> "PersonaPlug":
        """Give the same plug over the histories of another store; weights and language model are shared, not copied.

        Args:
            store: Of the layout that the plug was trained with.
            encoder: The frozen one that makes that layout's vectors.

        Raises:
            FingerprintMismatchError: The encoder makes others.
        """
        check_layout(encoder, self.task, store=store)
        batcher = build_batcher(
            self.run, self.task, store=store, encoder=encoder, backbone=self.backbone, query_source=QuerySource.STORE
        )
        plug = copy(self)
        plug.batcher, plug.store = batcher, store
        return plug.eval()

    def frozen_encoder(self) -> TextEncoder:
        """Give the encoder that makes vectors of the store's layout; it is loaded where queries have a trained copy.

        Raises:
            ConfigError: This plug has no store.
        """
        if self.query_vectors is not None:
            return self.query_vectors.encoder
        if self.store is None:
            raise ConfigError("this plug was made without a store, so no encoder is its own", hint=_GIVE_A_STORE)
        return load_encoder(self.run.encoder, like=self.store.layout.fingerprint, device=str(self.backbone.device))

    def save_pretrained(self, folder: Path | str) -> None:
        """Write configuration, task and trained weights; a few megabytes where the query encoder is frozen."""
        self.save_config(folder)
        write_weights(self.parts, Path(folder))

    def save_config(self, folder: Path | str) -> None:
        """Write configuration and task alone: a run that is not trained yet."""
        write_run(Path(folder), self.run, task=self.task)

    def forward(self, batch: PlugBatch) -> dict[str, Tensor]:
        """Give the loss of a batch as the trainer wants it."""
        return {"loss": self.loss(batch)}

    def loss(self, batch: PlugBatch) -> Float[Tensor, ""]:
        """Give the mean negative log-likelihood of an answer token, in nats."""
        return self.backbone.loss(self.inputs(batch), batch.targets, max_tokens=self.run.training.max_output_tokens)

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
        return self.backbone.generate(self.asked(examples, with_persona=with_persona), config or self.run.decoding)

    def generate(
        self, text: str, *, user: str, config: GenerationConfig | None = None, with_persona: bool = True
    ) -> str:
        """Answer one input of one user, whose history is all that the store holds of them.

        Args:
            text: The input, as the log would hold it.
            user: The user's id; one the store does not know gets the generic persona.
            config: How to decode; None for the run's own way.
            with_persona: False for the bare language model.
        """
        return self.respond([self.example(text, user=user)], config, with_persona=with_persona)[0]

    def stream(
        self, text: str, *, user: str, config: GenerationConfig | None = None, with_persona: bool = True
    ) -> Iterator[str]:
        """Answer as :meth:`generate` does, piece by piece.

        Raises:
            ValueError: The answer is to be searched for by beams, as a run of the preset ``paper`` says by itself.
        """
        with torch.inference_mode():
            inputs = self.asked([self.example(text, user=user)], with_persona=with_persona)
        return self.backbone.stream(inputs, config or self.run.decoding)

    def explain(self, text: str, *, user: str) -> list[Memory]:
        """List the user's memories, the weightiest for this input first; empty for a user without any.

        Raises:
            ConfigError: This run has no persona.
        """
        example = self.example(text, user=user)
        retrieved = {item.id for item in self.prompts.retrieved(example)}
        memories = [replace(each, is_in_prompt=each.item.id in retrieved) for each in self.memories([example])[0]]
        return sorted(memories, key=lambda memory: -memory.weight)

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
        embedded = self.backbone.embed(batch.prompts, max_tokens=self.prompts.max_tokens)
        batch = batch.to(self.backbone.device)
        inputs = embedded.with_prefix(self.prefix(batch), place=self.run.embedder.place)
        if self.copy_head and batch.written:
            inputs = replace(inputs, mixed=Copying(self.copy_head, batch.written, self.run.copying.boost))
        adapter, is_behind = self.adapter, self.run.reads_inputs_alone
        return adapter.joined(inputs, self.backbone.model, is_behind=is_behind) if adapter else inputs

    def asked(self, examples: Sequence[Example], *, with_persona: bool = True) -> TokenEmbeddings:
        """Write the examples as :meth:`respond` has them answered."""
        if with_persona:
            return self.inputs(self.batcher(examples))
        return self.backbone.embed(self.prompts.plain(examples), max_tokens=self.run.training.max_input_tokens)

    def example(self, text: str, *, user: str) -> Example:
        """Ask in the name of a user, now."""
        if self.store is None:
            raise ConfigError("this plug was made without a store, so it knows no users", hint=_GIVE_A_STORE)
        return Example(id="", profile=_profile(self.store, user), input=text, target=None, time=datetime.now(UTC))


def build_plug(
    run: RunConfig,
    task: Task,
    *,
    store: PersonaStore | None = None,
    device: str = "cpu",
    query_source: QuerySource,
    backbone: Backbone | None = None,
) -> PersonaPlug:
    """Make an untrained plug, seeded by the run's training seed.

    Args:
        run: Method and parts.
        task: The run's task.
        store: The users' histories; a tuned prompt needs none.
        device: Where to compute.
        query_source: Where the vectors of queries come from.
        backbone: The run's language model, where it is loaded already.

    Raises:
        ConfigError: A part cannot be loaded, or a persona is wanted without a store.
        FingerprintMismatchError: The store's vectors are another encoder's or task's.
    """
    backbone = backbone or load_backbone(run.backbone, device=device)
    encoder = None
    if run.reads_vectors:
        encoder = encoder_of_store(run.encoder, task, store=needed_store(run, store), device=device)
    prefix = build_prefix(run, encoder, backbone=backbone, views=len(task.views))
    batcher = build_batcher(run, task, store=store, encoder=encoder, backbone=backbone, query_source=query_source)
    adapter, copy_head = build_adapter(run, backbone), build_copy_head(run)
    return PersonaPlug(prefix, backbone, batcher=batcher, run=run, store=store, adapter=adapter, copy_head=copy_head)


def _profile(store: PersonaStore, user: str) -> Profile:
    try:
        return store.get(user)
    except UnknownUserError:
        return Profile(user)
