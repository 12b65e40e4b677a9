"""The parts of a plug, as its run says: what stands beside inputs, and what makes batches."""

from copy import deepcopy
from functools import partial

import torch

from personaplug.backbone.base import Backbone
from personaplug.embedder.copy_head import CopyHead
from personaplug.embedder.encoder import TextEncoder
from personaplug.embedder.user_embedder import UserEmbedder
from personaplug.errors import ConfigError
from personaplug.plug.batch import Batcher
from personaplug.plug.output_tokens import OutputTokens
from personaplug.plug.prefix import PersonaPrefix, Prefix, TunedPrefix
from personaplug.plug.prompts import build_prompts
from personaplug.plug.queries import QueryVectors
from personaplug.plug.query_source import QuerySource
from personaplug.plug.retrievers import by_product, by_vectors, by_words
from personaplug.plug.run import RunConfig
from personaplug.plug.shared_adapter import SharedAdapter
from personaplug.plug.wordings import Wordings
from personaplug.plug.written_outputs import WrittenOutputs
from personaplug.retrieval.base import Retriever
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Task


@torch.random.fork_rng(devices=[])  # all is drawn on the CPU
def build_prefix(run: RunConfig, encoder: TextEncoder | None, *, backbone: Backbone, views: int) -> Prefix:
    """Make what stands beside the inputs, not yet trained, by the run's training seed.

    Args:
        run: Method and shape.
        encoder: Made the histories' vectors, of so many views an item; None where no history is read.
        backbone: Whose vectors these are to be.
        views: Texts of an item.
    """
    torch.default_generator.manual_seed(run.training.seed)
    if not encoder or not run.has_persona:
        return TunedPrefix(run.vectors, backbone.dim, embedding_norm=backbone.embedding_norm)
    embedder = UserEmbedder(
        run.embedder,
        views=views,
        dim=encoder.dim,
        llm_dim=backbone.dim,
        embedding_norm=backbone.embedding_norm,
        instructs_all=run.shared_adapter is None,
    )
    if not run.embedder.trains_query_encoder:
        return PersonaPrefix(embedder, None)
    queries = deepcopy(encoder).requires_grad_(requires_grad=True)
    queries.has_dropout = run.training.encoder_dropout
    return PersonaPrefix(embedder, queries)


@torch.random.fork_rng(devices=[])
def build_adapter(run: RunConfig, backbone: Backbone) -> SharedAdapter | None:
    """Make the adapter that all users share, not yet trained, by the run's training seed; None where there is none.

    Raises:
        ConfigError: The language model has no place for one.
    """
    if run.shared_adapter is None:
        return None
    torch.default_generator.manual_seed(run.training.seed)
    return SharedAdapter(
        backbone.model,
        run.shared_adapter,
        closing=backbone.closing_tokens,
        vectors=run.vectors if run.embedder.place != "before" else 0,
        is_apart=run.learns_apart,
    )


def build_copy_head(run: RunConfig) -> CopyHead | None:
    """Make what copies the user's own words, not yet trained; None where nothing is copied."""
    return CopyHead(run.copying.order) if run.copies else None


def build_batcher(
    run: RunConfig,
    task: Task,
    *,
    store: PersonaStore | None,
    encoder: TextEncoder | None,
    backbone: Backbone,
    query_source: QuerySource,
) -> Batcher:
    """Make what turns examples into batches: prompts, histories' vectors and queries' vectors.

    Args:
        run: Which of them its method reads.
        task: In whose words.
        store: The users' histories.
        encoder: Made the store's vectors.
        backbone: Reads the prompts.
        query_source: Where the vectors of queries come from.

    Raises:
        ConfigError: The language model has no room for the run's items.
    """
    queries = QueryVectors.of(encoder, store, source=query_source) if encoder else None
    prompts = build_prompts(run, task, backbone=backbone, retriever=_retriever(run, task, store=store, queries=queries))
    if not run.has_persona:
        return Batcher(task, None, query_vectors=None, prompts=prompts)
    asked = None if run.embedder.trains_query_encoder else queries
    read = partial(backbone.cut, max_tokens=run.training.max_input_tokens) if run.training.cuts_queries else None
    longest = run.training.max_output_tokens - 1  # as of an answer, whose end is the last
    outputs = OutputTokens(backbone, longest=longest, source=query_source)
    ahead, places = "\n" if run.embedder.made_of == "quotes" else None, run.embedder.output_tokens
    wordings = Wordings(outputs, places=places, ahead=ahead) if run.embedder.reads_outputs else None
    written = WrittenOutputs(outputs, run.copying) if run.copies else None
    return Batcher(task, store, query_vectors=asked, prompts=prompts, read=read, wordings=wordings, written=written)


def needed_store(run: RunConfig, store: PersonaStore | None) -> PersonaStore:
    """Refuse a run without the histories that it reads.

    Raises:
        ConfigError: There are none.
    """
    if store is None:
        what = "a persona" if run.has_persona else run.method
        raise ConfigError(f"{what} needs a store of histories", hint="name it with --store")
    return store


def _retriever(
    run: RunConfig, task: Task, *, store: PersonaStore | None, queries: QueryVectors | None
) -> Retriever | None:
    if run.retriever is None:
        return None
    if run.retriever == "bm25":
        return by_words(task)
    if run.retriever != "dense" or not (store and queries):
        raise ConfigError(f"{run.method}: its items are chosen by {run.retriever}, which a plug cannot ask for items")
    if task.retrieval.similarity == "product":
        return by_product(task, queries.encoder, capacity=queries.capacity)
    return by_vectors(task, store, queries=queries)
