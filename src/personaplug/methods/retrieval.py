"""Retrievers by name, and the prompts that hold what they find."""

from functools import partial

from personaplug.backbone.base import Backbone, GenerationConfig
from personaplug.backbone.device import start_torch
from personaplug.errors import ConfigError
from personaplug.methods.input_prompt import InputPrompt
from personaplug.methods.prompted import Prompted
from personaplug.plug.encoders import check_layout, encoder_config, encoder_of, load_encoder
from personaplug.plug.queries import QueryVectors
from personaplug.plug.query_source import QuerySource
from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.plug.retrievers import by_product, by_vectors, by_words
from personaplug.retrieval.base import Retriever
from personaplug.retrieval.random_order import RandomRetriever
from personaplug.retrieval.recency import RecencyRetriever
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Task


def build_retriever(
    name: str, task: Task, *, store: PersonaStore | None, encoder_name: str | None, query_source: QuerySource
) -> Retriever:
    """Build an untrained retriever by its exact name.

    Args:
        name: One of :data:`~personaplug.method_kinds.Retrieval`.
        task: Says what is read of an item.
        store: The histories' vectors, for ``dense``; not needed by a task that ranks by products, beside an encoder.
        encoder_name: As given to ``index``, for ``dense``; None for the one that the store names.
        query_source: Where the vectors of queries come from, for ``dense``.

    Raises:
        ConfigError: There is no such retriever, or a store is needed and not given.
    """
    if name == "recency":
        return RecencyRetriever()
    if name == "random":
        return RandomRetriever()
    if name == "bm25":
        return by_words(task)
    if name != "dense":
        raise ConfigError(f"there is no untrained retriever {name!r}", hint="recency, random, bm25 or dense")
    if task.retrieval.similarity == "product" and encoder_name:
        like = store.layout.fingerprint if store else ""
        return by_product(task, load_encoder(encoder_config(encoder_name), like=like, device=start_torch()))
    if store is None:
        raise ConfigError("dense retrieval needs a store", hint="name it with --store")
    return _dense(task, store, encoder_name=encoder_name, query_source=query_source)


def without_items(
    name: str,
    task: Task,
    *,
    backbone: Backbone,
    generation: GenerationConfig,
    max_input_tokens: int,
    max_output_tokens: int,
) -> Prompted:
    """Make the prompt that is the input alone, cut where the language model has no room for more of it.

    The text itself is cut: a prompt with items in its place, where a selector chooses, gives it no more room.
    """
    positions = backbone.positions(answer_tokens=max(max_output_tokens, generation.max_new_tokens))
    room = max_input_tokens if positions is None else min(max_input_tokens, positions)
    return Prompted(
        name,
        backbone,
        writer=InputPrompt(task, partial(backbone.cut, max_tokens=room), room),
        generation=generation,
        max_output_tokens=max_output_tokens,
    )


def with_items(plain: Prompted, task: Task, *, retriever: Retriever, k: int, item_tokens: int) -> Prompted:
    """Ask with :func:`items_beside`'s prompts, and say in the name how many items they hold."""
    writer = items_beside(plain, task, retriever=retriever, k=k, item_tokens=item_tokens)
    return plain.with_writer(writer, name=f"{plain.name}, k={k}")


def items_beside(plain: Prompted, task: Task, *, retriever: Retriever, k: int, item_tokens: int) -> RetrievalPrompt:
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
    return RetrievalPrompt.of(
        task,
        retriever,
        backbone=plain.backbone,
        k=k,
        item_tokens=item_tokens,
        beside=plain.writer.max_tokens,
        positions=_positions(plain),
    )


def room_beside(plain: Prompted, tokens: int) -> int:
    """Say how long a prompt may be that holds so many tokens beside the input."""
    positions, room = _positions(plain), plain.writer.max_tokens + tokens
    return room if positions is None else min(room, positions)


def _positions(plain: Prompted) -> int | None:
    longest_answer = max(plain.max_output_tokens, plain.generation.max_new_tokens)
    return plain.backbone.positions(answer_tokens=longest_answer)


def _dense(task: Task, store: PersonaStore, *, encoder_name: str | None, query_source: QuerySource) -> Retriever:
    encoder = encoder_of(store.layout, name=encoder_name, device=start_torch())
    if task.retrieval.similarity == "product":
        return by_product(task, encoder)
    task = task.as_indexed(store.layout.views)
    check_layout(encoder, task, store=store)
    return by_vectors(task, store, queries=QueryVectors.of(encoder, store, source=query_source))
