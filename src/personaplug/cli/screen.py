"""What a person sees while they wait, and what a program reads: progress on stderr, results on stdout."""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from typing import TypeVar
from unicodedata import category

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment

from personaplug.data.rows import OnBad, refuse
from personaplug.workflows.progress import Advance
from personaplug.workflows.progress import counted as count

T = TypeVar("T")

STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = "\u200c\u200d"  # inside words of Persian or Hindi, and inside emoji


class Screen(Console):
    """A console on which no text, wherever it comes from, can steer the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Make what may not be printed visible; rich's own controls stay."""
        for segment in super().render(renderable, options):
            is_ours = segment.control is not None
            yield segment if is_ours else Segment(printable_lines(segment.text), segment.style)


def results() -> Console:
    """Give the console on stdout."""
    return Screen(file=sys.stdout, highlight=False)


def notes() -> Console:
    """Give the console on stderr."""
    return Screen(file=sys.stderr, highlight=False)


def printable(text: str) -> str:
    """Write what would steer a terminal as an escape such as ``\\x1b``.

    That is: control characters, which move the cursor or begin a new line; marks that turn the direction of writing or
    show nothing; other line ends; halves of characters.
    """
    return "".join(sign.encode("unicode_escape").decode() if _steers(sign) else sign for sign in text)


def printable_lines(text: str) -> str:
    """Do the same, but let lines end and tabs be."""
    return re.sub(r"[^\n\t]+", lambda found: printable(found[0]), text)


@contextmanager
def progress(
    what: str, *, total: int | None = None, transient: bool = False, in_bytes: bool = False
) -> Iterator[Advance]:
    """Show a bar on stderr.

    Args:
        what: What is being done.
        total: How much there is to do; None where it is not known.
        transient: Whether the bar goes when the work is done.
        in_bytes: Whether bytes are counted, which are shown in megabytes.

    Yields:
        A function to tell how much is done in all, and a word about it.
    """
    columns = (
        TextColumn("{task.description:<22}", markup=False),
        BarColumn(bar_width=28),
        DownloadColumn() if in_bytes else MofNCompleteColumn(),
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


@dataclass(frozen=True, slots=True)
class Bars:
    """Shows a workflow on stderr.

    Attributes:
        bad_row: Told of each row that cannot be read; raises to stop there.
    """

    bad_row: OnBad = refuse

    def bar(self, what: str, *, total: int | None = None, transient: bool = False) -> AbstractContextManager[Advance]:
        """Show a bar."""
        return progress(what, total=total, transient=transient)

    def note(self, line: str) -> None:
        """Write a line."""
        click.echo(printable_lines(line), err=True)


BARS = Bars()


def counted(rows: Iterable[T], what: str) -> Iterator[T]:
    """Count rows on a bar while they pass."""
    return count(rows, what, progress=BARS)


def print_json(value: object) -> None:
    """Write a dataclass, or anything JSON knows, on stdout for a program to read."""
    sys.stdout.write(as_json(value) + "\n")


def as_json(value: object) -> str:
    """Write a dataclass, or anything JSON knows, on one line; what would steer a terminal as JSON's own ``\\u009b``."""
    content = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    text = json.dumps(content, ensure_ascii=False, default=_plain)
    return "".join(json.dumps(sign)[1:-1] if _steers(sign) else sign for sign in text)


def _steers(sign: str) -> bool:
    return not sign.isprintable() and sign not in JOINERS and category(sign) in STEERING


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
