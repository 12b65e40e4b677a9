"""The frozen language model describes each user in words, once for each history; the words stand before the input.

A model must be able to follow the request: one as small as the embedded ``nano`` writes nothing of use.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from personaplug.files import write_text
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
        author: Writes; its prompt of an example shows the items of the example's history and ends with the request.
        author_id: Names all that decides a description beside the items, so that no other author's is taken for it.
        items: How many of a user's latest are shown.
        folder: One folder a user, named by a hash of the id; deleting it forgets what was written about the user.
    """

    author: Prompted
    author_id: str
    items: int
    folder: Path

    def write(self, examples: Sequence[Example]) -> None:
        """Describe, in one batch, the users of these examples who have not been described as of these histories."""
        missing = {path: example for example in examples if (path := self._path(example)) and not path.exists()}
        if not missing:
            return
        for path, text in zip(missing, self.author.respond(list(missing.values())), strict=True):
            write_text(path, " ".join(text.split()))

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
        profile_tokens: A longer description, in the prompt's words, loses its end; the input is never shortened.
        count_tokens: Counts a text's own tokens as the language model does.
    """

    profiles: TextProfiles
    prompts: Callable[[Sequence[Example]], Sequence[str]]
    profile_tokens: int
    count_tokens: Callable[[str], int]

    def __call__(self, examples: Sequence[Example]) -> list[str]:
        """Write a batch's prompts; without a description it is the plain one."""
        return [self._with_profile(*each) for each in zip(self.prompts(examples), examples, strict=True)]

    def _with_profile(self, prompt: str, example: Example) -> str:
        profile = self.profiles.read(example)
        while profile and self.count_tokens(_before(profile, "")) > self.profile_tokens:
            profile = profile[: len(profile) * 9 // 10].rstrip()
        return _before(profile, prompt) if profile else prompt


@dataclass(frozen=True, slots=True)
class TextProfile:
    """Answers with a description of the user before the input.

    Attributes:
        prompted: Asks the language model, with a :class:`ProfilePrompt`'s prompts.
        profiles: The descriptions, written when they are first needed.
    """

    prompted: Prompted
    profiles: TextProfiles

    @property
    def name(self) -> str:
        """The name in tables."""
        return self.prompted.name

    def prepare(self, examples: Sequence[Example]) -> None:
        """Have the descriptions written that are missing."""
        self.profiles.write(examples)

    def respond(self, examples: Sequence[Example]) -> list[str]:
        """Answer each example."""
        self.profiles.write(examples)
        return self.prompted.respond(examples)

    def log_likelihood(self, examples: Sequence[Example]) -> Float[np.ndarray, " examples"]:
        """Give the mean log-probability of a right answer's token, in nats."""
        self.profiles.write(examples)
        return self.prompted.log_likelihood(examples)

    def answer_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the right answers' tokens, their end included."""
        return self.prompted.answer_tokens(examples)

    def prompt_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the tokens that the language model reads of each example, its user's description included."""
        self.profiles.write(examples)
        return self.prompted.prompt_tokens(examples)

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the bytes of each user's description."""
        self.profiles.write(examples)
        return np.array([len(self.profiles.read(example).encode(errors="replace")) for example in examples])


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
