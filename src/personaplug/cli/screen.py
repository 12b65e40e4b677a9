"""What a person sees while they wait, and what a program reads: progress on stderr, results on stdout."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")


class Advance(Protocol):
    """Tells a bar how far the work is."""

    def __call__(self, done: int, word: str = "", *, total: int | None = None) -> None:
        """Show how much is done in all, a word about it, and how much there is if that was not known before."""


def results() -> Console:
    """Give the console on stdout."""
    return Console(file=sys.stdout, highlight=False)


def notes() -> Console:
    """Give the console on stderr."""
    return Console(file=sys.stderr, highlight=False)


def printable(text: str) -> str:
    """Write what would move the cursor, or begin a new line, as an escape such as ``\\x1b``."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


@contextmanager
def progress(what: str, *, total: int | None = None, transient: bool = False) -> Iterator[Advance]:
    """Show a bar on stderr.

    Args:
        what: What is being done.
        total: How much there is to do; None where it is not known.
        transient: Whether the bar goes when the work is done.

    Yields:
        A function to tell how much is done in all, and a word about it.
    """
    columns = (
        TextColumn("{task.description:<22}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[word]}", markup=False),
    )
    console = notes()
    is_hidden = transient and not console.is_terminal
    # By default rich takes stdout over too, and sends what is written there, results, to stderr.
    with Progress(*columns, console=console, redirect_stdout=False, transient=transient, disable=is_hidden) as bar:
        row = bar.add_task(what, total=total, word="")

        def advance(done: int, word: str = "", *, total: int | None = None) -> None:
            bar.update(row, completed=done, word=word, total=total)

        yield advance


def counted(rows: Iterable[T], what: str) -> Iterator[T]:
    """Count rows on a bar while they pass."""
    with progress(what, transient=True) as advance:
        for number, row in enumerate(rows, start=1):
            yield row
            if number % 500 == 0:
                advance(number)


def print_json(value: object) -> None:
    """Write a dataclass, or anything JSON knows, on stdout for a program to read."""
    content = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    sys.stdout.write(json.dumps(content, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
