"""How far long work is, and which rows it cannot read, told to whoever wants to know: a screen, or nobody."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

from personaplug.data.rows import OnBad, refuse
from personaplug.errors import DataError

T = TypeVar("T")


class Advance(Protocol):
    """Tells how far a piece of work is."""

    def __call__(self, done: int, word: str = "", *, total: int | None = None) -> None:
        """Show how much is done in all, a word about it, and how much there is if that was not known before."""


class Progress(Protocol):
    """Shows people what a workflow is at."""

    def bar(self, what: str, *, total: int | None = None, transient: bool = False) -> AbstractContextManager[Advance]:
        """Show a piece of work while it is done.

        Args:
            what: What is being done.
            total: How much there is to do; None where it is not known.
            transient: Whether nothing of it stays when the work is done.
        """

    def note(self, line: str) -> None:
        """Say a line that a person should know."""

    def bad_row(self, error: DataError) -> None:
        """Hear of a row that cannot be read: raise the error to stop there, or leave the row out."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Shows nothing.

    Attributes:
        bad_row: Told of each row that cannot be read; raises to stop there.
    """

    bad_row: OnBad = refuse

    def bar(self, what: str, *, total: int | None = None, transient: bool = False) -> AbstractContextManager[Advance]:  # noqa: ARG002
        """Do the work unseen."""
        return nullcontext(_unseen)

    def note(self, line: str) -> None:
        """Say nothing."""


SILENT = Silence()


def counted(rows: Iterable[T], what: str, *, progress: Progress) -> Iterator[T]:
    """Count rows while they pass."""
    with progress.bar(what, transient=True) as advance:
        for number, row in enumerate(rows, start=1):
            yield row
            if number % 500 == 0:
                advance(number)


def _unseen(done: int, word: str = "", *, total: int | None = None) -> None: ...
