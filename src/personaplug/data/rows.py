"""Rows of a JSON Lines, CSV or Parquet file, one at a time, each with the line it stands on.

Text is UTF-8, or UTF-16 or UTF-32 as its first bytes tell. Bytes that are not are carried through as surrogate escapes,
so that the row that holds them can be named and left out. What is wrong with one row goes to ``on_bad``; what is wrong
with the whole file (it is cut off, it is a folder) is always raised.
"""

import csv
import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from types import ModuleType

from personaplug.data import mending
from personaplug.data.log_url import LogAddress, LogUrl
from personaplug.data.unreadable import Unreadable
from personaplug.errors import DataError, MissingExtraError

OnBad = Callable[[DataError], None]

FORMATS = (".jsonl", ".csv", ".parquet")
LONGEST_LINE = 1 << 24
UNREADABLE = (OSError, EOFError, zlib.error, UnicodeError)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Attributes:
        path: The file.
        line: The 1-based line the row begins on; in Parquet, which has no lines, the row's number.
        values: What stands in each column.
    """

    path: LogAddress
    line: int
    values: Mapping[str, object]

    def error(self, message: str, *, hint: str = "") -> DataError:
        """Make the error that names this row."""
        return DataError(message, path=str(self.path), line=self.line, hint=hint)

    def lacks(self, column: str) -> DataError:
        """Make the error of a row without a value that it must have."""
        here = f"the columns here are {', '.join(self.values)[:200] or 'none'}"
        hint = "it is empty or null here: leave such rows out" if column in self.values else here
        return self.error(f"there is no {column}", hint=hint)

    def text(self, column: str) -> str | None:
        """Read a column as text; numbers and booleans as JSON writes them, dates in ISO 8601, None where it is absent.

        Raises:
            DataError: It is a list, an object or a number that is not finite, or holds what no text may hold: NUL, or
                half of a surrogate pair.
        """
        value = self.values.get(column)
        if value is None:
            return None
        if isinstance(value, str):
            return self._checked(value, column)
        if isinstance(value, Unreadable):
            raise self.error(f"column {column!r} cannot be read: {value.reason}", hint="mend it, or drop the column")
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            return json.dumps(value)
        raise self.error(f"column {column!r} holds {_kind_of(value)}, not text", hint="write text, or drop the column")

    def _checked(self, text: str, column: str) -> str:
        where = text.find("\0") if "\0" in text else _first_surrogate(text)
        if where is None:
            return text
        raise self.error(
            f"column {column!r} holds the character U+{ord(text[where]):04X}, which is not text",
            hint="remove it, or put U+FFFD in its place",
        )


def refuse(error: DataError) -> None:
    """Raise the error: what becomes of a bad row unless told otherwise."""
    raise error


def read_rows(path: LogAddress, *, on_bad: OnBad = refuse) -> Iterator[Row]:
    """Read a file's rows as a stream, by the file's name: ``.jsonl``, ``.csv`` or ``.parquet``, each also ``.gz``.

    What lies at an address is Parquet.

    Raises:
        DataError: The file is missing, of an unknown kind, cut off, or not what its name says.
        MissingExtraError: The file is Parquet and pyarrow is not installed.
    """
    if isinstance(path, LogUrl):
        return _read_parts(path)
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    check_is_file(path)
    if kind not in FORMATS:
        wanted = ", ".join(FORMATS)
        hint = f"if it is one list: {mending.from_json(path)}" if kind == ".json" else "rename or convert it"
        raise DataError(f"its name ends in none of {wanted}, with or without .gz", path=path, hint=hint)
    if kind == ".parquet":
        return _read_parquet(path)
    return _read_jsonl(path, on_bad) if kind == ".jsonl" else _read_csv(path, on_bad)


def check_is_file(path: Path) -> None:
    """Raise a DataError unless there is a file."""
    if path.is_dir():
        raise DataError("is a folder, not a file", path=path)
    if not path.exists():
        raise DataError("there is no such file", path=path)


def open_text(path: Path, *, newline: str) -> io.TextIOWrapper:
    """Open a file as text, unpacked if its name ends in ``.gz``; what is not of its encoding becomes surrogates.

    Raises:
        DataError: It is no text, or not even its first bytes can be read.
    """
    file = gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")  # noqa: SIM115
    try:
        start = file.peek(4)
    except UNREADABLE as error:
        file.close()
        raise cut_off(path, 1, error=error) from error
    if kind := mending.kind_of(start):
        file.close()
        raise DataError(f"is {kind}, not text", path=path, hint=mending.from_kind(path, kind))
    encoding = mending.encoding_of(start)
    errors = "surrogateescape" if encoding == "utf-8-sig" else "surrogatepass"
    return io.TextIOWrapper(file, encoding=encoding, errors=errors, newline=newline)


def cut_off(path: Path, line: int, *, error: Exception) -> DataError:
    """Make the error of a file that cannot be read to its end."""
    hint = mending.from_error(path, error)
    return DataError(f"cannot be read further: {error}", path=path, line=line, hint=hint)


def encoding_error(path: Path, line: int, *, text: str) -> DataError | None:
    """Make the error of a text with bytes that are not UTF-8, read as surrogate escapes; None where all are."""
    where = _first_surrogate(text)
    if where is None:
        return None
    if not "\udc80" <= text[where] <= "\udcff":
        half = f"half of a surrogate pair, U+{ord(text[where]):04X}, after {where} characters"
        return DataError(half, path=path, line=line, hint="put U+FFFD in its place")
    return DataError(
        f"not UTF-8: byte 0x{ord(text[where]) - 0xDC00:02x} after {where} characters",
        path=path,
        line=line,
        hint=f"write it again as UTF-8; if it is Western European, with: {mending.from_latin(path)}",
    )


def _read_jsonl(path: Path, on_bad: OnBad) -> Iterator[Row]:
    for number, line in enumerate(_lines(path, newline="\n"), start=1):
        if not line.strip():
            continue
        try:
            row = Row(path, number, _parse_object(line))
        except (ValueError, RecursionError) as error:
            hint = 'each line is one JSON object, as in {"user_id": "ada", ...}'
            broken = DataError(f"not a row: {error}", path=path, line=number, hint=hint)
            on_bad(encoding_error(path, number, text=line) or broken)
        else:
            yield row


def _parse_object(line: str) -> dict[str, object]:
    line.encode()
    try:
        value = json.loads(line, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise ValueError(f"broken JSON at character {error.pos + 1}: {error.msg}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{_kind_of(value)}, not a JSON object")
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(whole := dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return whole


def _read_csv(path: Path, on_bad: OnBad) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_LINE)  # of the whole process; there is no other
    reader = csv.reader(_lines(path, newline=""), strict=True)
    header = _header(path, reader)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            message = f"broken CSV in lines {line} to {reader.line_num}: {error}"
            on_bad(DataError(message, path=path, line=line, hint='a text with commas, quotes or newlines is "quoted"'))
            continue
        if fields is None:
            return
        if bad := _field_error(path, line, fields=fields, width=len(header)):
            on_bad(bad)
        elif fields:
            yield Row(path, line, dict(zip(header, fields, strict=True)))


def _header(path: Path, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise DataError(f"broken CSV header: {error}", path=path, line=1) from error
    if bad := encoding_error(path, 1, text="".join(header)):
        raise bad
    if len(set(header)) < len(header):
        raise DataError(f"a column stands twice in the header: {', '.join(header):.200}", path=path, line=1)
    if len(header) == 1 and (found := re.search(r"[;\t|]", header[0])):
        raise DataError(
            f"its fields are separated by {found[0]!r}", path=path, line=1, hint="save it with commas between them"
        )
    return header


def _field_error(path: Path, line: int, *, fields: list[str], width: int) -> DataError | None:
    if fields and len(fields) != width:
        return DataError(f"{len(fields)} fields where the header has {width}", path=path, line=line)
    return encoding_error(path, line, text="".join(fields))


def _read_parquet(path: Path) -> Iterator[Row]:
    for number, values in enumerate(_parquet().read_parquet(path), start=1):
        yield Row(path, number, values)


def _read_parts(log: LogUrl) -> Iterator[Row]:
    for part, rows in _parquet().read_parts(log):
        yield from (Row(part, number, values) for number, values in enumerate(rows, start=1))


def _parquet() -> ModuleType:
    try:
        return import_module("personaplug.data.parquet")
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading Parquet", extra="parquet") from error


def _lines(path: Path, *, newline: str) -> Iterator[str]:
    number = 0
    try:
        with open_text(path, newline=newline) as lines:
            while line := lines.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise DataError(f"a line of more than {LONGEST_LINE:,} characters", path=path, line=number)
                yield line
    except UNREADABLE as error:
        raise cut_off(path, number + 1, error=error) from error


def _first_surrogate(text: str) -> int | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def _kind_of(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bytes: "bytes", type(None): "null"}
    return names.get(type(value), f"the {type(value).__name__} {value!r:.30}")
