"""The parts of a plug, as its run says: the encoder of its store, what stands before inputs, and what makes batches."""

from copy import deepcopy

import torch

from personaplug.embedder.encoder import EncoderConfig, TextEncoder
from personaplug.embedder.user_embedder import UserEmbedder
from personaplug.plug.backbone import Backbone
from personaplug.plug.batch import Batcher
from personaplug.plug.prefix import PersonaPrefix, Prefix, TunedPrefix
from personaplug.plug.prompts import build_prompts
from personaplug.plug.queries import QueryVectors
from personaplug.plug.retrievers import by_vectors, by_words
from personaplug.plug.run import RunConfig
from personaplug.retrieval.base import Retriever
from personaplug.store.base import StoreLayout
from personaplug.store.sqlite import PersonaStore
from personaplug.tasks.task import Task


def check_layout(encoder: TextEncoder, task: Task, *, store: PersonaStore) -> None:
    """Refuse a store whose vectors are not this encoder's for this task.

    Raises:
        FingerprintMismatchError: They are another's.
    """
    StoreLayout(encoder.fingerprint, task.views, encoder.dim).check(store.layout, where=str(store.path))


def load_encoder(config: EncoderConfig, store: PersonaStore, *, device: str) -> TextEncoder:
    """Load a run's encoder, frozen, in the precision of a store's vectors."""
    return TextEncoder.load(config.as_in(store.layout.fingerprint), device=device).freeze()


def encoder_of_store(config: EncoderConfig, task: Task, *, store: PersonaStore, device: str) -> TextEncoder:
    """Load the encoder that made a store's vectors.

    Raises:
        FingerprintMismatchError: The store's vectors are another encoder's or task's.
    """
    encoder = load_encoder(config, store, device=device)
    check_layout(encoder, task, store=store)
    return encoder


@torch.random.fork_rng(devices=[])  # all is drawn on the CPU
def build_prefix(run: RunConfig, encoder: TextEncoder | None, *, backbone: Backbone, views: int) -> Prefix:
    """Make what stands before the inputs, not yet trained, by the run's training seed.

    Args:
        run: Method and shape.
        encoder: Made the histories' vectors, of so many views an item; None where no history is read.
        backbone: Whose vectors these are to be.
        views: Texts of an item.
    """
    torch.default_generator.manual_seed(run.training.seed)
    if not encoder or not run.has_persona:
        return TunedPrefix(run.embedder.vectors, backbone.dim, embedding_norm=backbone.embedding_norm)
    embedder = UserEmbedder(
        run.embedder, views=views, dim=encoder.dim, llm_dim=backbone.dim, embedding_norm=backbone.embedding_norm
    )
    if not run.embedder.trains_query_encoder:
        return PersonaPrefix(embedder, None)
    return PersonaPrefix(embedder, deepcopy(encoder).requires_grad_(requires_grad=True))


def build_batcher(
    run: RunConfig,
    task: Task,
    *,
    store: PersonaStore | None,
    encoder: TextEncoder | None,
    backbone: Backbone,
    is_live: bool = False,
) -> Batcher:
    """Make what turns examples into batches: prompts, histories' vectors and queries' vectors.

    Args:
        run: Which of them its method reads.
        task: In whose words.
        store: The users' histories.
        encoder: Made the store's vectors.
        backbone: Reads the prompts.
        is_live: Encode every query, also one whose text the store holds.

    Raises:
        ConfigError: The language model has no room for the run's items.
    """
    queries = QueryVectors(encoder, None if is_live else store) if encoder else None
    prompts = build_prompts(run, task, backbone=backbone, retriever=_retriever(run, task, store=store, queries=queries))
    if not run.has_persona:
        return Batcher(task, None, query_vectors=None, prompts=prompts)
    asked = None if run.embedder.trains_query_encoder else queries
    return Batcher(task, store, query_vectors=asked, prompts=prompts)


def _retriever(
    run: RunConfig, task: Task, *, store: PersonaStore | None, queries: QueryVectors | None
) -> Retriever | None:
    if run.retriever == "bm25":
        return by_words(task)
    return by_vectors(task, store, queries=queries) if run.retriever == "dense" and store and queries else None
