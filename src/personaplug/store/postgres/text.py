"""Texts as Postgres can hold them: all but NUL, which a store's texts may have.

NUL becomes U+0001 U+0001 and U+0001 becomes U+0001 U+0002. So any text comes back as it was, one without these two
stands in the table as it is, and the order stays that of the characters.
"""

import re
from typing import Any

from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

_HELD = {"\0": "\1\1", "\1": "\1\2"}
_TEXT_OID = 25


def escaped(text: str) -> str:
    """Write a text without NUL."""
    return re.sub("[\0\1]", lambda found: _HELD[found[0]], text) if "\0" in text or "\1" in text else text


def unescaped(text: str) -> str:
    """Read what :func:`escaped` wrote."""
    return re.sub("\1[\1\2]", lambda found: "\0" if found[0] == "\1\1" else "\1", text) if "\1" in text else text


def adapt_texts(connection: Connection[Any]) -> None:
    """Have a connection's texts written and read this way."""
    connection.adapters.register_dumper(str, TextDumper)
    connection.adapters.register_loader(_TEXT_OID, TextLoader)


class TextDumper(Dumper):
    """Writes a text for the server."""

    format = Format.BINARY
    oid = _TEXT_OID

    def dump(self, obj: Any) -> bytes:  # noqa: ANN401 (psycopg's signature)
        """Write it; half a character is refused by Python."""
        return escaped(obj).encode()


class TextLoader(Loader):
    """Reads a text from the server."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        """Read it."""
        return unescaped(bytes(data).decode())
