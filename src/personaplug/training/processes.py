"""The processes that train one run together: how many they are, what each of them does, what they tell each other.

A launcher starts them, such as ``torchrun`` or ``accelerate launch``. All go through the same batches in the same
order, and each takes its share of each batch: what comes out is what one process with the whole batches comes to.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from torch import distributed

from personaplug.errors import ProcessLostError

T = TypeVar("T")
R = TypeVar("R")

TIMEOUT = timedelta(hours=2)
"""How long a process waits for the others, as while the first makes a snapshot of a large store."""

_LOST = (
    "closed by peer",
    "connection reset",
    "broken pipe",
    "remote process exited",
    "connection refused",
    "connection timed out",
    "no route to host",
)
"""What gloo and NCCL say, in whatever case, where another process is gone, or the machine that it was on."""


@dataclass(frozen=True, slots=True)
class Processes:
    """A group of processes, as one of them sees it.

    Attributes:
        count: How many there are.
        rank: Which of them this is, from 0; the first alone writes files.
    """

    count: int = 1
    rank: int = 0

    @classmethod
    def joined(cls) -> "Processes":
        """Join those that a launcher has started beside this one; where there are none, this one is alone."""
        if not distributed.is_initialized():
            if int(os.environ.get("WORLD_SIZE", "1")) == 1:
                return cls()
            distributed.init_process_group(timeout=TIMEOUT)
        return cls(distributed.get_world_size(), distributed.get_rank())

    @property
    def is_first(self) -> bool:
        """Whether this process writes what all have made."""
        return self.rank == 0

    def share(self, whole: Sequence[T]) -> Sequence[T]:
        """Give this process's part of something: each ``count``-th, so that parts of what is sorted are alike."""
        return whole[self.rank :: self.count]

    def gathered(self, own: T) -> list[T]:
        """Give what each process has, in their order, to all of them; tensors on the CPU."""
        if self.count == 1:
            return [own]
        everyone: list[T] = [own] * self.count
        distributed.all_gather_object(everyone, own)
        return everyone

    def sum(self, own: float) -> float:
        """Add up what each process has; all get the same bits."""
        return sum(self.gathered(own))

    def together(self, parts: Sequence[T], work: Callable[[T], R]) -> list[R]:
        """Do a piece of work a part, each process on its share, and give all of it to all, in order."""
        made = self.gathered([work(part) for part in self.share(parts)])
        return [made[at % self.count][at // self.count] for at in range(len(parts))]

    def wait(self) -> None:
        """Wait until all have come so far."""
        self.gathered(None)

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """Have the first process do something, and then the others, who find it done.

        Where machines share no disk, the first process of each goes ahead of the others there.
        """
        local = int(os.environ.get("LOCAL_RANK", "0"))
        turn = 0 if self.is_first else 1 if local == 0 else 2
        for _ in range(turn):
            self.wait()
        yield
        for _ in range(turn, 2):
            self.wait()

    @contextmanager
    def needing_each_other(self) -> Iterator[None]:
        """Say in words where another process is gone, in place of what the network says.

        Raises:
            ProcessLostError: One is.
        """
        try:
            yield
        except RuntimeError as error:
            if self.count == 1 or not any(sign in str(error).lower() for sign in _LOST):
                raise
            raise ProcessLostError(self.count) from error


ALONE = Processes()
