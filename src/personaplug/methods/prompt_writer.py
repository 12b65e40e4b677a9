"""What :class:`personaplug.methods.prompted.Prompted` asks the language model with."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Int

from personaplug.records import Example


class PromptWriter(Protocol):
    """Writes what the language model reads of an example, and knows what that needs to be kept of the user."""

    @property
    def max_tokens(self) -> int:
        """The longest prompt; a longer one is cut at its end."""
        ...

    def write(self, examples: Sequence[Example]) -> Sequence[str]:
        """Write a batch's prompts."""
        ...

    def prepare(self, examples: Sequence[Example]) -> None:
        """Make what is kept of the examples' users and is not in the log, such as vectors of items."""
        ...

    def reads(self, examples: Sequence[Example]) -> Sequence[Sequence[str]]:
        """Write all that the language model reads to answer each example; the last is the prompt of :meth:`write`."""
        ...

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the bytes that the prompts need to be kept of each example's user."""
        ...
