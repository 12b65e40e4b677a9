"""``text-profile``: the prompt by which a user is described, and the one that holds the description."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.loading import BackboneConfig
from personaplug.methods.input_prompt import InputPrompt
from personaplug.methods.prompted import Prompted
from personaplug.methods.retrieval import room_beside, with_items
from personaplug.methods.text_profile import REQUEST, ProfilePrompt, TextProfiles
from personaplug.records import fill
from personaplug.retrieval.recency import RecencyRetriever
from personaplug.tasks.task import Task

PROFILE_TOKENS = 64
"""Longest description of a user, of those that a prompt holds."""


def with_profiles(
    plain: Prompted, task: Task, *, folder: Path, source: BackboneConfig, k: int, item_tokens: int
) -> Prompted:
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
    backbone, request = plain.backbone, fill(REQUEST, {"description": task.description})
    before_it = replace(task.retrieval, prompt="{items}\n\n{prompt}", after=None, input_share=0.0)
    asked = replace(task, prompt="{input}", retrieval=before_it)
    decoding = GenerationConfig(max_new_tokens=PROFILE_TOKENS)
    room = backbone.count_tokens(request) + 1
    bare = Prompted(
        plain.name,
        backbone,
        writer=InputPrompt(asked, partial(backbone.cut, max_tokens=room), room),
        generation=decoding,
        max_output_tokens=plain.max_output_tokens,
    )
    author = with_items(bare, asked, retriever=RecencyRetriever(), k=k, item_tokens=item_tokens)
    decides = (asdict(source), asdict(decoding), asdict(asked), request, author.writer.max_tokens)
    profiles = TextProfiles(author, request, repr(decides), min(k, task.history.max_items), folder)
    beside, longest = plain.writer.max_tokens, room_beside(plain, PROFILE_TOKENS)
    writer = ProfilePrompt(
        profiles,
        plain.writer,
        max_tokens=longest,
        profile_tokens=longest - beside,
        cut=partial(backbone.cut, max_tokens=beside),
        count_tokens=backbone.count_text_tokens,
    )
    return plain.with_writer(writer, name=plain.name)
