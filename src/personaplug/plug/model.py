"""A frozen language model with a persona plugged in, over a store of users: asked in a name, kept in a folder."""

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from personaplug.backbone.base import Backbone, GenerationConfig
from personaplug.backbone.loading import load_backbone
from personaplug.embedder.encoder import TextEncoder
from personaplug.errors import ConfigError, UnknownUserError
from personaplug.plug.encoders import check_layout, encoder_of_store, load_encoder
from personaplug.plug.memory import Memory
from personaplug.plug.parts import build_adapter, build_batcher, build_copy_head, build_prefix, needed_store
from personaplug.plug.plugged_model import PluggedModel
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import read_config
from personaplug.plug.run_folder import CONFIG, check_is_run, task_of, write_run
from personaplug.plug.weights import take_weights, write_weights
from personaplug.records import Example, Profile
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Task

_GIVE_A_STORE = "open it with one: PersonaPlug.from_pretrained(..., store=PersonaStore.open(...))"


class PersonaPlug(PluggedModel):
    """Answers in each user's way, out of a store of histories.

    Made by :func:`build_plug`, or of a run's folder by :meth:`from_pretrained`.

    Attributes:
        store: Where ``generate(..., user=...)`` finds histories; None where only examples are answered.
    """

    store: PersonaStore | None = None

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

    def generate(
        self, text: str, *, user: str, config: GenerationConfig | None = None, with_persona: bool = True
    ) -> str:
        """Answer one input of one user, whose history is all that the store holds of them.

        Args:
            text: The input, as the log would hold it.
            user: The user's id; one the store does not know is answered as users without items are.
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
            inputs = self.embedded([self.example(text, user=user)], with_persona=with_persona)
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
    plug = PersonaPlug(prefix, backbone, batcher=batcher, run=run, adapter=adapter, copy_head=copy_head)
    plug.store = store
    return plug


def _profile(store: PersonaStore, user: str) -> Profile:
    try:
        return store.get(user)
    except UnknownUserError:
        return Profile(user)
