"""A frozen language model with a persona plugged in."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from personaplug.config import read_toml, write_toml
from personaplug.embedder.checkpoint import load_weights, save_weights
from personaplug.embedder.encoder import TextEncoder
from personaplug.embedder.user_embedder import UserEmbedder
from personaplug.errors import ConfigError, UnknownUserError
from personaplug.plug.backbone import AnswerScores, Backbone, GenerationConfig
from personaplug.plug.batch import Batcher, PlugBatch
from personaplug.plug.loading import load_backbone
from personaplug.plug.prefix import PersonaPrefix, Prefix, TunedPrefix
from personaplug.plug.prompts import build_prompts
from personaplug.plug.queries import QueryVectors
from personaplug.plug.retrievers import by_vectors, by_words
from personaplug.plug.run import RunConfig
from personaplug.plug.tokens import TokenEmbeddings
from personaplug.records import Example, HistoryItem, Profile
from personaplug.retrieval.base import Retriever
from personaplug.store.base import StoreLayout
from personaplug.store.sqlite import PersonaStore
from personaplug.tasks.task import Task, load_task

_WEIGHTS, _CONFIG, _TASK = "model.safetensors", "config.toml", "task.toml"


@dataclass(frozen=True, slots=True)
class Memory:
    """What one history item meant to one answer.

    Attributes:
        item: The item.
        weight: Its share of the persona, averaged over the persona vectors; all shares of a history sum to one.
        weights: Its share of each persona vector.
        similarity: Cosine of its first view and the query.
        age_days: Days between it and the question.
        is_in_prompt: Whether it also stands in the prompt as text; said by :meth:`PersonaPlug.explain` alone.
    """

    item: HistoryItem
    weight: float
    weights: tuple[float, ...]
    similarity: float
    age_days: float
    is_in_prompt: bool = False


class PersonaPlug(nn.Module):
    """Answers in each user's way.

    Only the prefix has weights that train; the language model is no part of the module tree.

    Args:
        prefix: Makes the vectors before the input.
        backbone: The frozen language model.
        batcher: Makes batches of the run's task.
        run: How all this was made.
        store: Where ``generate(..., user=...)`` finds histories; None where only examples are answered.
    """

    def __init__(
        self, prefix: Prefix, backbone: Backbone, *, batcher: Batcher, run: RunConfig, store: PersonaStore | None = None
    ) -> None:
        super().__init__()
        self.prefix = prefix.to(backbone.device)
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
        is_live: bool = False,
        backbone: Backbone | None = None,
    ) -> "PersonaPlug":
        """Load a run folder.

        Args:
            folder: As written by :meth:`save_pretrained`.
            store: The users' histories, encoded by the run's encoder.
            device: Where to compute.
            is_live: Encode every query, also one whose text the store holds.
            backbone: The run's language model, where it is loaded already.

        Raises:
            ConfigError: The folder is no run, or its parts do not fit.
            FingerprintMismatchError: The store's vectors are another encoder's.
        """
        folder = Path(folder)
        if not (folder / _CONFIG).is_file():
            raise ConfigError(f"{folder} is no run: it has no {_CONFIG}", hint="train one: personaplug train --help")
        run, task = read_toml(RunConfig, folder / _CONFIG), load_task(str(folder / _TASK))
        plug = build_plug(run, task, store=store, device=device, is_live=is_live, backbone=backbone)
        load_weights(plug.prefix, folder / _WEIGHTS)
        return plug.eval()

    def over(self, store: PersonaStore, encoder: TextEncoder) -> "PersonaPlug":
        """Give the same plug over the histories of another store; weights and language model are shared, not copied.

        Args:
            store: Of the layout that the plug was trained with.
            encoder: The frozen one that makes that layout's vectors.

        Raises:
            FingerprintMismatchError: The encoder makes others.
        """
        task = self.batcher.task
        StoreLayout(encoder.fingerprint, task.views, encoder.dim).check(store.layout, where=str(store.path))
        batcher = _batcher(self.run, task, store, encoder=encoder, backbone=self.backbone)
        return PersonaPlug(self.prefix, self.backbone, batcher=batcher, run=self.run, store=store).eval()

    def frozen_encoder(self) -> TextEncoder:
        """Give the encoder that makes vectors of the store's layout; it is loaded where queries have a trained copy.

        Raises:
            ConfigError: This plug has no store.
        """
        if self.batcher.query_vectors is not None:
            return self.batcher.query_vectors.encoder
        if self.store is None:
            raise ConfigError("this plug was made without a store, so no encoder is its own")
        config = self.run.encoder.as_in(self.store.layout.fingerprint)
        return TextEncoder.load(config, device=str(self.backbone.device)).freeze()

    def save_pretrained(self, folder: Path | str) -> None:
        """Write configuration, task and trained weights; a few megabytes where the query encoder is frozen."""
        self.save_config(folder)
        save_weights(self.prefix, Path(folder) / _WEIGHTS)

    def save_config(self, folder: Path | str) -> None:
        """Write configuration and task alone: a run that is not trained yet."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_toml(self.run, folder / _CONFIG)
        write_toml(self.batcher.task, folder / _TASK)

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

        Without persona the bare language model answers: nothing of the user stands before the input, no retrieved item
        either.
        """
        return self.backbone.generate(self.asked(examples, with_persona=with_persona), config)

    def generate(
        self, text: str, *, user: str, config: GenerationConfig | None = None, with_persona: bool = True
    ) -> str:
        """Answer one input of one user, whose history is all that the store holds of them.

        Args:
            text: The input, as the log would hold it.
            user: The user's id; one the store does not know gets the generic persona.
            config: How to decode.
            with_persona: False for the bare language model.
        """
        return self.respond([self.example(text, user=user)], config, with_persona=with_persona)[0]

    def stream(
        self, text: str, *, user: str, config: GenerationConfig | None = None, with_persona: bool = True
    ) -> Iterator[str]:
        """Answer as :meth:`generate` does, piece by piece."""
        with torch.inference_mode():
            inputs = self.asked([self.example(text, user=user)], with_persona=with_persona)
        return self.backbone.stream(inputs, config)

    def explain(self, text: str, *, user: str) -> list[Memory]:
        """List the user's memories, the weightiest for this input first; empty for a user without any.

        Raises:
            ConfigError: This run has no persona.
        """
        example = self.example(text, user=user)
        retrieved = {item.id for item in self.batcher.prompts.retrieved(example)}
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
        weights = self.prefix.weights(batch).mT.cpu()
        similarity = torch.einsum("bid,bd->bi", batch.history.keys, self.prefix.query(batch)).cpu()
        return [
            self._weighed(example, weights[row], similarity[row], batch.history.ages[row].cpu())
            for row, example in enumerate(examples)
        ]

    def _weighed(
        self,
        example: Example,
        weights: Float[Tensor, "items personas"],
        similarities: Float[Tensor, " items"],
        ages: Float[Tensor, " items"],
    ) -> list[Memory]:
        rows = zip(weights.mean(dim=1).tolist(), weights.tolist(), similarities.tolist(), ages.tolist(), strict=True)
        return [
            Memory(item, weight, tuple(each), similarity, age)
            for item, (weight, each, similarity, age) in zip(self.batcher.seen(example).items, rows, strict=False)
        ]

    def inputs(self, batch: PlugBatch) -> TokenEmbeddings:
        """Put the prefix of each example into its embedded prompt."""
        embedded = self.backbone.embed(batch.prompts, max_tokens=self.batcher.prompts.max_tokens)
        return embedded.with_prefix(self.prefix(batch.to(self.backbone.device)))

    def asked(self, examples: Sequence[Example], *, with_persona: bool = True) -> TokenEmbeddings:
        """Write the examples as :meth:`respond` has them answered."""
        if with_persona:
            return self.inputs(self.batcher(examples))
        prompts = [self.batcher.prompts.plain(example) for example in examples]
        return self.backbone.embed(prompts, max_tokens=self.run.training.max_input_tokens)

    def example(self, text: str, *, user: str) -> Example:
        """Ask in the name of a user, now."""
        if self.store is None:
            raise ConfigError("this plug was made without a store, so it knows no users")
        return Example(id="", profile=_profile(self.store, user), input=text, target=None, time=datetime.now(UTC))


def build_plug(
    run: RunConfig,
    task: Task,
    *,
    store: PersonaStore | None = None,
    device: str = "cpu",
    is_live: bool = False,
    backbone: Backbone | None = None,
) -> PersonaPlug:
    """Make an untrained plug, seeded by the run's training seed.

    Args:
        run: Method and parts.
        task: The run's task.
        store: The users' histories; a tuned prompt needs none.
        device: Where to compute.
        is_live: As for :meth:`PersonaPlug.from_pretrained`.
        backbone: The run's language model, where it is loaded already.

    Raises:
        ConfigError: A part cannot be loaded, or a persona is wanted without a store.
        FingerprintMismatchError: The store's vectors are another encoder's or task's.
    """
    backbone = backbone or load_backbone(run.backbone, device=device)
    encoder = _encoder(run, task, store, device=device) if run.reads_vectors else None
    torch.manual_seed(run.training.seed)  # Here, and not before: an encoder may draw weights that its files leave out.
    prefix: Prefix
    if encoder and run.has_persona:
        prefix = _persona_prefix(run, encoder, backbone, views=len(task.views))
    else:
        prefix = TunedPrefix(run.embedder.vectors, backbone.dim, embedding_norm=backbone.embedding_norm)
    batcher = _batcher(run, task, store, encoder=encoder, backbone=backbone, is_live=is_live)
    return PersonaPlug(prefix, backbone, batcher=batcher, run=run, store=store)


def _encoder(run: RunConfig, task: Task, store: PersonaStore | None, *, device: str) -> TextEncoder:
    """Load the encoder that made a store's vectors."""
    if store is None:
        what = "a persona" if run.has_persona else run.method
        raise ConfigError(f"{what} needs a store of histories", hint="name it with --store")
    encoder = TextEncoder.load(run.encoder.as_in(store.layout.fingerprint), device=device).freeze()
    StoreLayout(encoder.fingerprint, task.views, encoder.dim).check(store.layout, where=str(store.path))
    return encoder


def _batcher(
    run: RunConfig,
    task: Task,
    store: PersonaStore | None,
    *,
    encoder: TextEncoder | None,
    backbone: Backbone,
    is_live: bool = False,
) -> Batcher:
    queries = QueryVectors(encoder, None if is_live else store) if encoder else None
    prompts = build_prompts(run, task, backbone, retriever=_retriever(run, task, store, queries))
    if not run.has_persona:
        return Batcher(task, None, query_vectors=None, prompts=prompts)
    asked = None if run.embedder.trains_query_encoder else queries
    return Batcher(task, store, query_vectors=asked, prompts=prompts)


def _retriever(
    run: RunConfig, task: Task, store: PersonaStore | None, queries: QueryVectors | None
) -> Retriever | None:
    if run.retriever == "bm25":
        return by_words(task)
    return by_vectors(task, store, queries) if run.retriever == "dense" and store and queries else None


def _persona_prefix(run: RunConfig, encoder: TextEncoder, backbone: Backbone, *, views: int) -> PersonaPrefix:
    embedder = UserEmbedder(
        run.embedder, views=views, dim=encoder.dim, llm_dim=backbone.dim, embedding_norm=backbone.embedding_norm
    )
    if not run.embedder.trains_query_encoder:
        return PersonaPrefix(embedder, None)
    return PersonaPrefix(embedder, deepcopy(encoder).requires_grad_(requires_grad=True))


def _profile(store: PersonaStore, user: str) -> Profile:
    try:
        return store.get(user)
    except UnknownUserError:
        return Profile(user)
