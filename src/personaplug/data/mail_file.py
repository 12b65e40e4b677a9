"""The mails of an mbox file, as bytes, one at a time.

A mail begins with a line such as ``From ada@example.org Mon May  6 10:00:00 2024``. The line ends with a date, and a
header follows it; so a sentence that begins with "From " is none, though it stands there as it was written. Where a
mail's own line begins with ``From ``, mbox writers put one ``>`` before it, which is taken off again (RFC 4155, and
"mboxrd": https://www.loc.gov/preservation/digital/formats/fdd/fdd000385.shtml).
"""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from personaplug.data.rows import UNREADABLE, check_is_file
from personaplug.errors import DataError

LARGEST_MAIL = 1 << 26

_LINE = 1 << 16
_SEPARATOR = re.compile(
    rb"""
    From\ [^\r\n]{0,300}?
    \b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ,?\s+
    ( [A-Z][a-z][a-z] \s+ \d\d? \s+ \d\d?:\d\d (:\d\d)? (\s+[A-Z+-][A-Z\d]{0,5}){0,2} \s+ \d{4}   # as ctime writes it
    | \d\d? \s+ [A-Z][a-z][a-z] \s+ \d{2,4} \s+ \d\d?:\d\d (:\d\d)?                               # as Date: has it
    )
    (\s+[A-Z+-][A-Z\d]{0,5})? (\s+\([A-Z]+\))? (\s+remote\ from\ \S+)? \s* \Z
    """,
    re.VERBOSE,
)
_HEADER = re.compile(rb">?From |[!-9;-~]+[ \t]*:")
_ESCAPED = re.compile(rb">+From ")


def read_mails(path: Path) -> Iterator[bytes | None]:
    """Yield each mail of an mbox file, plain or ``.gz``, without its separator; None for one above ``LARGEST_MAIL``.

    Raises:
        DataError: There is no such file, it holds no mail, or it is cut off.
    """
    check_is_file(path)
    is_empty = True
    try:
        with _open(path) as file:
            for mail in _split(file):
                is_empty = False
                yield mail
    except UNREADABLE as error:
        hint = "it may be cut off: fetch it again" if _is_packed(path) else ""
        raise DataError(f"cannot be read further: {error}", path=path, hint=hint) from error
    if is_empty:
        hint = 'in an mbox file each mail begins with a line as "From ada@example.org Mon May  6 10:00:00 2024"'
        raise DataError("holds no mail", path=path, hint=hint)


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb")) if _is_packed(path) else path.open("rb")


def _split(file: BinaryIO) -> Iterator[bytes | None]:
    mail: list[bytes] | None = None
    size = 0
    for line in _lines(file):
        if line is None:
            if mail is not None:
                yield _whole(mail, size)
            mail, size = [], 0
        elif mail is not None:
            size += len(line)
            if size <= LARGEST_MAIL:
                mail.append(line[1:] if _ESCAPED.match(line) else line)
    if mail is not None:
        yield _whole(mail, size)


def _whole(mail: list[bytes], size: int) -> bytes | None:
    return b"".join(mail) if size <= LARGEST_MAIL else None


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines as they are (very long ones in pieces), and None for each separator."""
    begins = True
    line = file.readline(_LINE)
    while line:
        following = file.readline(_LINE)
        is_separator = begins and _SEPARATOR.match(line) is not None and _HEADER.match(following) is not None
        yield None if is_separator else line
        begins = line.endswith(b"\n")
        line = following
