"""Objects of a JSON list in a file of any size, one at a time."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from personaplug.data.rows import LONGEST_LINE, UNREADABLE, Row, check_is_file, cut_off, encoding_error, open_text
from personaplug.errors import DataError

CHUNK = 1 << 18
_DECODER = json.JSONDecoder()


OnMember = Callable[[str, object], None]


def read_array(path: Path, *, inside: str = "", on_member: OnMember = lambda _name, _value: None) -> Iterator[Row]:
    """Yield the objects of a file that is one JSON list, each with the line it begins on.

    Args:
        path: The file.
        inside: The list may also stand in an object, under this name.
        on_member: Told of each other member of that object.

    Raises:
        DataError: The file is no such list, is not UTF-8, is cut off, or holds an object of more than 16 MB.
    """
    check_is_file(path)
    with open_text(path, newline="") as file:
        cursor = _Cursor(path, file)
        is_framed = bool(inside) and cursor.next_character() == "{"
        if is_framed:
            cursor.enter_object(inside, on_member)
        if cursor.next_character() != "[":
            raise cursor.error("not a JSON list")
        cursor.advance()
        while cursor.next_character() != "]":
            yield cursor.next_object()
            if cursor.next_character() == ",":
                cursor.advance()
            elif cursor.next_character() != "]":
                raise cursor.error("broken JSON: neither a comma nor the list's end after an element")
        cursor.advance()
        if is_framed:
            cursor.leave_object(on_member)


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

    def enter_object(self, wanted: str, on_member: OnMember) -> None:
        """Go to the value of a member of the object that begins here, and tell of those before it."""
        self.advance()
        while (name := self._member()) != wanted:
            on_member(name, self._value())
            if self.next_character() != ",":
                raise self.error(f"an object without a list {wanted!r}")
            self.advance()

    def leave_object(self, on_member: OnMember) -> None:
        """Tell of the members that are left of the object."""
        while self.next_character() == ",":
            self.advance()
            on_member(self._member(), self._value())
        if self.next_character() != "}":
            raise self.error("broken JSON: neither a comma nor the object's end after a member")

    def advance(self, count: int = 1) -> None:
        """Go on by so many characters."""
        end = self.position + count
        self.line += self.text.count("\n", self.position, end)
        self.position = end

    def error(self, message: str, *, hint: str = "") -> DataError:
        """Make the error that names this place."""
        return DataError(message, path=self.path, line=self.line, hint=hint)

    def _member(self) -> str:
        """Read a member's name and the colon behind it."""
        name = self._value() if self.next_character() == '"' else None
        if not isinstance(name, str) or self.next_character() != ":":
            raise self.error("broken JSON: no name and colon where a member begins")
        self.advance()
        return name

    def _value(self) -> object:
        """Read a value and go behind it."""
        self.next_character()
        value, end = self._decode()
        self.advance(end - self.position)
        return value

    def _decode(self) -> tuple[object, int]:
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.position)
                if end < len(self.text) or isinstance(value, dict) or not self._read(CHUNK):
                    return value, end
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
