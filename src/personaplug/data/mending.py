"""What a file's first bytes and its errors tell, and what a person types to mend it."""

import codecs
import zlib
from gzip import BadGzipFile
from pathlib import Path
from shlex import quote

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NO_TEXT = {
    b"\x1f\x8b": "gzipped",
    b"PK\x03\x04": "a zip archive, as spreadsheets are",
    b"PAR1": "Parquet",
    b"BZh": "packed by bzip2",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
}
_LINES = "import json, sys; [print(json.dumps(row)) for row in json.load(sys.stdin)]"


def encoding_of(start: bytes) -> str:
    """Tell an encoding by a file's first four bytes: UTF-8 unless they are a byte order mark or have UTF-16's zeros."""
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding
    match [byte == 0 for byte in start[:4]]:
        case [False, True, False, True]:
            return "utf-16-le"
        case [True, False, True, False]:
            return "utf-16-be"
        case _:
            return "utf-8-sig"


def kind_of(start: bytes) -> str | None:
    """Tell by a file's first four bytes what it is if it is no text; None where it may be one."""
    return next((kind for magic, kind in _NO_TEXT.items() if start.startswith(magic)), None)


def from_kind(path: Path, kind: str) -> str:
    """Say what to do with a file of a kind that its name does not tell."""
    if path.suffix in (".gz", ".json"):  # JSON lists have names of their own
        return "unpack it"
    match kind:
        case "gzipped":
            return f"rename it: {_move(path, path.with_name(f'{path.name}.gz'))}"
        case "Parquet":
            return f"rename it: {_move(path, path.with_suffix('.parquet'))}"
        case _:
            return "unpack it, or save the table as CSV in UTF-8"


def from_latin(path: Path) -> str:
    """Write the shell command that makes UTF-8 of a file in windows-1252, which has Latin-1's letters, beside it."""
    old, new = quote(str(path)), quote(str(path.with_name(f"utf8-{path.name}")))
    if path.name.lower().endswith(".gz"):
        return f"gunzip -c {old} | iconv -f WINDOWS-1252 -t UTF-8 | gzip > {new}"
    return f"iconv -f WINDOWS-1252 -t UTF-8 {old} > {new}"


def from_json(path: Path) -> str:
    """Write the shell command that makes JSON Lines of a file that is one JSON list, beside it."""
    old, reader = quote(str(path)), f"python3 -c {quote(_LINES)}"
    if path.suffix.lower() == ".gz":
        return f"gunzip -c {old} | {reader} > {quote(str(path.with_suffix('').with_suffix('.jsonl')))}"
    return f"{reader} < {old} > {quote(str(path.with_suffix('.jsonl')))}"


def from_error(path: Path, error: Exception) -> str:
    """Say what to do about a file of which an error says that it cannot be read; empty where nothing is known."""
    if isinstance(error, BadGzipFile) and "Not a gzipped file" in str(error):
        return f"rename it: {_move(path, path.with_suffix(''))}"
    if isinstance(error, EOFError | zlib.error | BadGzipFile | UnicodeError):
        return "it may be cut off: fetch or write it again"
    if isinstance(error, PermissionError):
        return f"see who may read it: ls -l {quote(str(path))}"
    return ""


def _move(old: Path, new: Path) -> str:
    return f"mv -n {quote(str(old))} {quote(str(new))}"
