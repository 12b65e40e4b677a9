"""What answers cost: seconds, what the language model reads, what is kept of a user."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from personaplug.records import Example


@dataclass(frozen=True, slots=True)
class Cost:
    """What a measurement's answers cost.

    Attributes:
        answer_seconds: Wall time of the answers alone, without likelihood, attention, and what is prepared of histories
            before anybody asks.
        prompt_tokens: Mean number of tokens, and of vectors in their place, that the language model read of a query.
        user_bytes: Mean over users of the bytes kept of them to answer their latest query: texts of items that may be
            retrieved, vectors, an adapter or a description. None where the method does not tell, as for the tokens.
        gpu_memory_mb: The most memory of a GPU that the process held, in MB of 10^6 bytes; None without GPU.
    """

    answer_seconds: float
    prompt_tokens: float | None = None
    user_bytes: float | None = None
    gpu_memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """What was done once, before any query.

    Attributes:
        seconds: Wall time, of all users together; None where it was interrupted, so that nobody has counted all of it.
        seconds_a_user: The mean for each user; None where users are not trained for.
    """

    seconds: float | None = None
    seconds_a_user: float | None = None


@runtime_checkable
class CountingMethod(Protocol):
    """A method that also tells what it reads and keeps."""

    def prompt_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count what the language model reads of each example, vectors beside the input included."""
        ...

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the bytes kept of each example's user as of the example."""
        ...


class CostMeter:
    """Adds up the cost of batch after batch."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._tokens: list[int] = []
        self._bytes: dict[str, int] = {}

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Time answers."""
        began = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - began

    def count(self, method: object, examples: Sequence[Example]) -> None:
        """Count what the method reads and keeps, where it tells."""
        if not isinstance(method, CountingMethod):
            return
        self._tokens += method.prompt_tokens(examples).tolist()
        for example, kept in zip(examples, method.user_bytes(examples).tolist(), strict=True):
            user = example.profile.user_id
            self._bytes[user] = max(kept, self._bytes.get(user, 0))

    @property
    def cost(self) -> Cost:
        """The cost so far."""
        return Cost(
            self._seconds,
            prompt_tokens=fmean(self._tokens) if self._tokens else None,
            user_bytes=fmean(self._bytes.values()) if self._bytes else None,
        )
