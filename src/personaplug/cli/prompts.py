"""What stands in a prompt beside the input, and the room that the language model has for it."""

from dataclasses import asdict, replace
from pathlib import Path

from personaplug.errors import ConfigError
from personaplug.methods.prompted import Prompted
from personaplug.methods.retrieval_prompt import RetrievalPrompt
from personaplug.methods.text_profile import REQUEST, ProfilePrompt, TextProfile, TextProfiles
from personaplug.plug.backbone import Backbone, GenerationConfig
from personaplug.plug.loading import BackboneConfig
from personaplug.records import Example, fill
from personaplug.retrieval.base import Retriever
from personaplug.retrieval.bm25 import BM25Retriever
from personaplug.retrieval.random_order import RandomRetriever
from personaplug.retrieval.recency import RecencyRetriever
from personaplug.tasks.task import Task

PROFILE_TOKENS = 64
"""Longest description of a user, of those that a prompt holds."""


def positions_of(backbone: Backbone, *, answer_tokens: int) -> int | None:
    """Say how many tokens, or vectors in their place, an input may have; None for any number.

    A decoder-only model reads the answer, of at most ``answer_tokens``, behind the input: they share its positions.
    """
    config = backbone.model.config
    count: int | None = getattr(getattr(config, "encoder", config), "max_position_embeddings", None)
    return count if count is None or config.is_encoder_decoder else count - answer_tokens


def plain_prompts(
    name: str,
    backbone: Backbone,
    task: Task,
    generation: GenerationConfig,
    *,
    max_input_tokens: int,
    max_output_tokens: int,
) -> Prompted:
    """Ask the bare language model, whose inputs are cut where its positions end."""
    plain = Prompted(
        name,
        backbone,
        lambda example: task.prompt_text(example.input),
        generation,
        max_input_tokens=max_input_tokens,
        max_output_tokens=max_output_tokens,
    )
    return replace(plain, max_input_tokens=_room(plain, 0))


def word_retriever(name: str, task: Task) -> Retriever:
    """Build a retriever that needs no vectors: ``bm25``, ``recency`` or ``random``."""
    if name == "recency":
        return RecencyRetriever()
    if name == "random":
        return RandomRetriever()
    assert name == "bm25", name
    return BM25Retriever(lambda item: " ".join(task.view_texts(item)))


def with_items(plain: Prompted, task: Task, retriever: Retriever, *, k: int, item_tokens: int) -> Prompted:
    """Put retrieved items before the input, which keeps all the room that it has without them.

    Raises:
        ConfigError: The language model has no room for them.
    """
    room = _room(plain, k * item_tokens)
    item_tokens = (room - plain.max_input_tokens) // k
    if item_tokens < 1:
        raise ConfigError(
            f"the language model has room for {max(0, room)} tokens: too few for {k} items beside the input",
            hint="a smaller --k, or a --run with a smaller max_input_tokens",
        )
    return replace(
        plain,
        name=f"{plain.name}, k={k}",
        write=RetrievalPrompt(task, retriever, k, item_tokens, plain.backbone.count_tokens),
        max_input_tokens=room,
    )


def with_profiles(
    plain: Prompted, task: Task, folder: Path, *, source: BackboneConfig, k: int, item_tokens: int
) -> TextProfile:
    """Put a description of the user before the input, which keeps all the room that it has without one.

    Args:
        plain: Answers, and writes the descriptions from each user's latest items.
        task: Describes itself to the language model, and says how items stand in a prompt.
        folder: Where the descriptions are kept.
        source: What the language model was loaded from.
        k: Items that a description is written from.
        item_tokens: Longest of them; shorter where the language model has no room for ``k`` such.

    Raises:
        ConfigError: The language model has no room.
    """
    request = fill(REQUEST, {"description": task.description})
    asked = replace(task, prompt="{input}", retrieval=replace(task.retrieval, prompt="{items}\n\n{prompt}"))
    decoding = GenerationConfig(max_new_tokens=PROFILE_TOKENS)
    bare = replace(plain, generation=decoding, max_input_tokens=plain.backbone.count_tokens(request) + 1)
    shown = with_items(bare, asked, RecencyRetriever(), k=k, item_tokens=item_tokens)
    author = replace(shown, write=lambda example: shown.write(_asking(example, request)))
    profiles = TextProfiles(author, repr((asdict(source), asdict(decoding))), folder)
    room = _room(plain, PROFILE_TOKENS)
    write = ProfilePrompt(profiles, plain.write, room - plain.max_input_tokens, plain.backbone.count_tokens)
    return TextProfile(replace(plain, name="text-profile", write=write, max_input_tokens=room), profiles)


def _room(plain: Prompted, more_tokens: int) -> int:
    """Say how long a prompt may be that holds so many tokens beside the input."""
    longest_answer = max(plain.max_output_tokens, plain.generation.max_new_tokens)
    room = plain.max_input_tokens + more_tokens
    positions = positions_of(plain.backbone, answer_tokens=longest_answer)
    return room if positions is None else min(room, positions)


def _asking(example: Example, request: str) -> Example:
    return replace(example, input=request, target=None)
