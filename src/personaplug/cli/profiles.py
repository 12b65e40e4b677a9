"""``text-profile``: the prompt by which a user is described, and the one that holds the description."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from personaplug.cli.retrievers import room_beside, with_items
from personaplug.methods.prompted import Prompted
from personaplug.methods.text_profile import REQUEST, ProfilePrompt, TextProfile, TextProfiles
from personaplug.plug.backbone import GenerationConfig
from personaplug.plug.loading import BackboneConfig
from personaplug.records import Example, fill
from personaplug.retrieval.recency import RecencyRetriever
from personaplug.tasks.task import Task

PROFILE_TOKENS = 64
"""Longest description of a user, of those that a prompt holds."""


def with_profiles(
    plain: Prompted, task: Task, *, folder: Path, source: BackboneConfig, k: int, item_tokens: int
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
    before_it = replace(task.retrieval, prompt="{items}\n\n{prompt}", after=None, input_share=0.0)
    asked = replace(task, prompt="{input}", retrieval=before_it)
    decoding = GenerationConfig(max_new_tokens=PROFILE_TOKENS)
    bare = replace(plain, generation=decoding, max_input_tokens=plain.backbone.count_tokens(request) + 1)
    shown = with_items(bare, asked, retriever=RecencyRetriever(), k=k, item_tokens=item_tokens)
    author = replace(shown, write=lambda examples: shown.write([_asking(each, request) for each in examples]))
    decides = (asdict(source), asdict(decoding), asdict(asked), request, shown.max_input_tokens)
    profiles = TextProfiles(author, repr(decides), min(k, task.history.max_items), folder)
    room = room_beside(plain, PROFILE_TOKENS)
    count, cut = plain.backbone.count_text_tokens, partial(plain.backbone.cut, max_tokens=plain.max_input_tokens)
    write = ProfilePrompt(
        profiles, lambda examples: list(map(cut, plain.write(examples))), room - plain.max_input_tokens, count
    )
    return TextProfile(replace(plain, write=write, max_input_tokens=room), profiles)


def _asking(example: Example, request: str) -> Example:
    return replace(example, input=request, target=None)
