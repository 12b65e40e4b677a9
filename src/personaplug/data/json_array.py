"""Objects of a JSON list in a file of any size, one at a time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from personaplug.data.rows import LONGEST_LINE, UNREADABLE, Row, check_is_file, cut_off, encoding_error, open_text
from personaplug.errors import DataError

CHUNK = 1 << 18
_DECODER = json.JSONDecoder()


def read_array(path: Path) -> Iterator[Row]:
    """Yield the objects of a file that is one JSON list, each with the line it begins on.

    Raises:
        DataError: The file is no such list, is not UTF-8, is cut off, or holds an object of more than 16 MB.
    """
    check_is_file(path)
    with open_text(path, newline="") as file:
        cursor = _Cursor(path, file)
        if cursor.next_character() != "[":
            raise cursor.error("not a JSON list")
        cursor.advance()
        while cursor.next_character() != "]":
            yield cursor.next_object()
            if cursor.next_character() == ",":
                cursor.advance()
            elif cursor.next_character() != "]":
                raise cursor.error("broken JSON: neither a comma nor the list's end after an element")


@dataclass(slots=True)
class _Cursor:
    """A place in a text of which only what lies ahead is in memory."""

    path: Path
    file: TextIO
    text: str = ""
    position: int = 0
    line: int = 1

    def next_character(self) -> str:
        """Go to the next character that is not blank and return it; raise where there is none."""
        while True:
            while self.position < len(self.text) and self.text[self.position] in " \t\r\n":
                self.advance()
            if self.position < len(self.text):
                return self.text[self.position]
            if not self._read(CHUNK):
                raise self.error("ends before its list does", hint="it may be cut off: fetch it again")

    def next_object(self) -> Row:
        """Read the object that begins here and go behind it."""
        value, end = self._decode()
        line, source = self.line, self.text[self.position : end]
        if bad := encoding_error(self.path, line, text=source):
            raise bad
        if not isinstance(value, dict):
            raise self.error("an element of the list is not a JSON object")
        self.advance(len(source))
        return Row(self.path, line, value)

    def advance(self, count: int = 1) -> None:
        """Go on by so many characters."""
        end = self.position + count
        self.line += self.text.count("\n", self.position, end)
        self.position = end

    def error(self, message: str, *, hint: str = "") -> DataError:
        """Make the error that names this place."""
        return DataError(message, path=self.path, line=self.line, hint=hint)

    def _decode(self) -> tuple[object, int]:
        while True:
            try:
                return _DECODER.raw_decode(self.text, self.position)
            except (ValueError, RecursionError) as error:
                ahead = len(self.text) - self.position
                if ahead > LONGEST_LINE or not self._read(max(CHUNK, ahead)):
                    raise self.error(f"the element that begins here is broken: {error}") from error

    def _read(self, size: int) -> bool:
        try:
            more = self.file.read(size)
        except UNREADABLE as error:
            raise cut_off(self.path, self.line, error=error) from error
        self.text, self.position = self.text[self.position :] + more, 0
        return bool(more)
