"""The frozen language model describes each user in words, once for each history; the words stand before the input.

A model must be able to follow the request: one of 30 million weights wrote nothing of use.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from personaplug.files import write_text
from personaplug.methods.prompt_writer import PromptWriter
from personaplug.methods.prompted import Prompted
from personaplug.records import Example, fill

REQUEST = (
    "Above is what one person did, the latest first. The task was: {description} "
    "Describe in two or three sentences how this person does it: topics, choices, tone, length, habits."
)
"""What is asked of the language model, in the words of any task."""

BEFORE_INPUT = "About this person: {profile}\n{prompt}"


@dataclass(frozen=True, slots=True)
class TextProfiles:
    """Written descriptions of users, kept on disk: the same user with the same history is described once.

    Attributes:
        author: Writes; its prompt of an example shows the items of the example's history and ends with the input.
        request: What stands in the place of an input.
        author_id: Names all that decides a description beside the items, so that no other author's is taken for it.
        items: How many of a user's latest are shown.
        folder: One folder a user, named by a hash of the id; deleting it forgets what was written about the user.
    """

    author: Prompted
    request: str
    author_id: str
    items: int
    folder: Path

    def write(self, examples: Sequence[Example]) -> None:
        """Describe, in one batch, the users of these examples who have not been described as of these histories."""
        missing = {path: example for example in examples if (path := self._path(example)) and not path.exists()}
        if not missing:
            return
        for path, text in zip(missing, self.author.respond(self.requests(list(missing.values()))), strict=True):
            write_text(path, " ".join(text.split()))

    def requests(self, examples: Sequence[Example]) -> list[Example]:
        """Put the request in the place of what the examples' users ask."""
        return [replace(example, input=self.request, target=None) for example in examples]

    def read(self, example: Example) -> str:
        """Give the description of an example's user; empty for a user without history."""
        path = self._path(example)
        return path.read_text(encoding="utf-8") if path else ""

    def _path(self, example: Example) -> Path | None:
        if not example.profile.items:
            return None
        shown = [text for item in example.profile.latest(self.items).items for text in (item.input, item.output)]
        return self.folder / folder_of(example.profile.user_id) / f"{_hash(self.author_id, *shown)}.txt"


@dataclass(frozen=True, slots=True)
class ProfilePrompt:
    """Writes prompts with the description of the user before the input.

    Attributes:
        profiles: The descriptions.
        prompts: Writes the prompts without one.
        max_tokens: Longest prompt.
        profile_tokens: A longer description, in the prompt's words, loses its end; the input is never shortened.
        cut: Cuts a prompt without one where the language model does: room that a short one leaves is not the input's.
        count_tokens: Counts a text's own tokens as the language model does.
    """

    profiles: TextProfiles
    prompts: PromptWriter
    max_tokens: int
    profile_tokens: int
    cut: Callable[[str], str]
    count_tokens: Callable[[str], int]

    def write(self, examples: Sequence[Example]) -> list[str]:
        """Write a batch's prompts, and the descriptions that are missing; without one a prompt is the plain one."""
        self.profiles.write(examples)
        prompts = map(self.cut, self.prompts.write(examples))
        return [self._with_profile(*each) for each in zip(prompts, examples, strict=True)]

    def prepare(self, examples: Sequence[Example]) -> None:
        """Have the descriptions written that are missing."""
        self.prompts.prepare(examples)
        self.profiles.write(examples)

    def reads(self, examples: Sequence[Example]) -> list[list[str]]:
        """Give each example's prompt, which is all that is read once the user is described."""
        return [[prompt] for prompt in self.write(examples)]

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the bytes of each user's description, beside what the prompt without one needs."""
        self.profiles.write(examples)
        profiles = [len(self.profiles.read(example).encode(errors="replace")) for example in examples]
        return np.asarray(self.prompts.user_bytes(examples) + np.array(profiles, dtype=np.int64))

    def _with_profile(self, prompt: str, example: Example) -> str:
        profile = self.profiles.read(example)
        while profile and self.count_tokens(_before(profile, "")) > self.profile_tokens:
            profile = profile[: len(profile) * 9 // 10].rstrip()
        return _before(profile, prompt) if profile else prompt


def folder_of(user_id: str) -> str:
    """Name the folder that holds a user's descriptions."""
    return _hash(user_id)


def _before(profile: str, prompt: str) -> str:
    return fill(BEFORE_INPUT, {"profile": profile, "prompt": prompt})


def _hash(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", errors="surrogatepass")
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:32]
