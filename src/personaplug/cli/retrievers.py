"""Retrievers by name, and the prompts that hold what they find."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from transformers import PreTrainedConfig

from personaplug.cli.encoders import encoder_of, layout_of
from personaplug.errors import ConfigError
from personaplug.methods.prompted import Prompted
from personaplug.methods.retrieval_prompt import RetrievalPrompt
from personaplug.plug.backbone import Backbone, GenerationConfig
from personaplug.plug.queries import QueryVectors
from personaplug.records import HistoryItem
from personaplug.retrieval.base import Retriever
from personaplug.retrieval.bm25 import BM25Retriever
from personaplug.retrieval.dense import DenseRetriever
from personaplug.retrieval.random_order import RandomRetriever
from personaplug.retrieval.recency import RecencyRetriever
from personaplug.store.base import VECTOR_TYPE, missing_item, text_hash
from personaplug.store.sqlite import PersonaStore
from personaplug.tasks.task import Task

Retrieval = Literal["recency", "random", "bm25", "dense"]


def build_retriever(name: str, task: Task, *, store: PersonaStore | None, encoder_name: str | None) -> Retriever:
    """Build an untrained retriever by its exact name.

    Args:
        name: One of :data:`Retrieval`.
        task: Says what is read of an item.
        store: The histories' vectors, for ``dense``.
        encoder_name: As given to ``index``, for ``dense``; None for the one that the store names.

    Raises:
        ConfigError: A store is needed and not given.
    """
    if name == "recency":
        return RecencyRetriever()
    if name == "random":
        return RandomRetriever()
    if name == "bm25":
        return BM25Retriever(lambda item: " ".join(task.view_texts(item)))
    if store is None:
        raise ConfigError("dense retrieval needs a store", hint="name it with --store")
    return _dense(task, store, encoder_name=encoder_name)


def without_items(
    name: str,
    task: Task,
    backbone: Backbone,
    generation: GenerationConfig,
    *,
    max_input_tokens: int,
    max_output_tokens: int,
) -> Prompted:
    """Make the prompt that is the input alone, cut where the language model has no room for more of it."""
    positions = positions_of(backbone, answer_tokens=max(max_output_tokens, generation.max_new_tokens))
    return Prompted(
        name,
        backbone,
        lambda example: task.prompt_text(example.input),
        generation,
        max_input_tokens=max_input_tokens if positions is None else min(max_input_tokens, positions),
        max_output_tokens=max_output_tokens,
    )


def with_items(plain: Prompted, task: Task, retriever: Retriever, *, k: int, item_tokens: int) -> Prompted:
    """Put retrieved items before the input, which keeps all the room that it has without them.

    Args:
        plain: The method without items.
        task: Says how items stand in a prompt.
        retriever: Ranks a user's items.
        k: Items in a prompt.
        item_tokens: Longest item; shorter where the language model has no room for ``k`` such.

    Raises:
        ConfigError: There is no room at all.
    """
    room = room_beside(plain, k * item_tokens)
    item_tokens = (room - plain.max_input_tokens) // k
    if item_tokens < 1:
        raise ConfigError(
            f"the language model has room for {max(0, room)} tokens: too few for {k} items beside the input",
            hint="a smaller --k, or a --run with a smaller max_input_tokens",
        )
    vector_bytes = retriever.vector_bytes if isinstance(retriever, DenseRetriever) else 0
    write = RetrievalPrompt(task, retriever, k, item_tokens, plain.backbone.count_tokens, vector_bytes)
    return replace(plain, name=f"{plain.name}, k={k}", write=write, max_input_tokens=room, kept=write.kept)


def room_beside(plain: Prompted, tokens: int) -> int:
    """Say how long a prompt may be that holds so many tokens beside the input."""
    longest_answer = max(plain.max_output_tokens, plain.generation.max_new_tokens)
    positions = positions_of(plain.backbone, answer_tokens=longest_answer)
    room = plain.max_input_tokens + tokens
    return room if positions is None else min(room, positions)


def positions_of(backbone: Backbone, *, answer_tokens: int) -> int | None:
    """Say how many tokens, or vectors in their place, an input may have; None for any number.

    A decoder-only model reads the answer, of at most ``answer_tokens``, behind the input: they share its positions.
    """
    return positions_in(backbone.model.config, answer_tokens=answer_tokens)


def positions_in(config: PreTrainedConfig, *, answer_tokens: int) -> int | None:
    """Say the same of a language model by its configuration alone."""
    count: int | None = getattr(getattr(config, "encoder", config), "max_position_embeddings", None)
    return count if count is None or config.is_encoder_decoder else count - answer_tokens


def _dense(task: Task, store: PersonaStore, *, encoder_name: str | None) -> Retriever:
    encoder = encoder_of(store.layout, name=encoder_name)
    layout_of(encoder, task).check(store.layout, where=str(store.path))
    queries = QueryVectors(encoder, store)
    return DenseRetriever(
        lambda texts: queries(texts).numpy(),
        lambda items: _stored_keys(items, store, task),
        vector_bytes=store.layout.dim * VECTOR_TYPE.itemsize,
    )


def _stored_keys(items: Sequence[HistoryItem], store: PersonaStore, task: Task) -> Float[np.ndarray, "items dim"]:
    """Look up the vectors of the items' first view, whoever they belong to."""
    hashes = [text_hash(task.view_texts(item)[0]) for item in items]
    known = store.known(hashes)
    for item, key in zip(items, hashes, strict=True):
        if key not in known:
            raise missing_item(item.id, where=str(store.path))
    return np.stack([known[key] for key in hashes])
