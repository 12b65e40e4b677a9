"""In which encoding a text file stands, and how a person makes one of UTF-8 of it."""

import codecs
from pathlib import Path
from shlex import quote

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


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


def conversion(path: Path) -> str:
    """Write the shell command that makes UTF-8 of a file in windows-1252, which has Latin-1's letters, beside it."""
    old, new = quote(str(path)), quote(str(path.with_name(f"utf8-{path.name}")))
    if path.name.lower().endswith(".gz"):
        return f"gunzip -c {old} | iconv -f WINDOWS-1252 -t UTF-8 | gzip > {new}"
    return f"iconv -f WINDOWS-1252 -t UTF-8 {old} > {new}"
