"""The input alone, in the task's words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from personaplug.records import Example
from personaplug.tasks.task import Task
from personaplug.tasks.whole_words import prompt_within


@dataclass(frozen=True, slots=True)
class InputPrompt:
    """Writes prompts without anything of the users.

    Attributes:
        task: In whose words.
        cut: Cuts a prompt where the language model does, so that it gains no room where another stands beside it.
        max_tokens: Longest prompt.
    """

    task: Task
    cut: Callable[[str], str]
    max_tokens: int

    def write(self, examples: Sequence[Example]) -> list[str]:
        """Write a batch's prompts."""
        return [self.cut(prompt_within(self.task, example.input, self.cut)) for example in examples]

    def prepare(self, examples: Sequence[Example]) -> None:
        """Make nothing of users who are not read."""

    def reads(self, examples: Sequence[Example]) -> list[list[str]]:
        """Give each example's prompt, which is all that is read."""
        return [[prompt] for prompt in self.write(examples)]

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Say that nothing is kept of anybody."""
        return np.zeros(len(examples), dtype=np.int64)
