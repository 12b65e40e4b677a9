"""Copies of what a user wrote, outside of a store: in logs, reports, predictions, other stores, adapters, profiles.

They are known by the user's id, by the beginnings of the user's texts, and by the names of folders that hold one user's
alone. Files are read as bytes, those of gzip unpacked.
"""

import gzip
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from personaplug.store.base import text_hash

SHORTEST = 20
"""Characters of a text that is looked for; a shorter one, such as a label, does not tell whose it is."""

_BEGINNING = 64  # bytes of a text that are looked for: copies are sometimes cut
_CHUNK = 1 << 24
_PACKED = {".parquet", ".zip", ".zst", ".bz2", ".xz", ".7z", ".rar"}
_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Copy:
    """A place that holds something of a user, or may.

    Attributes:
        path: A file, or a folder that holds one user's alone.
        has_id: Whether the user's id stands in it.
        texts: How many of the user's texts begin in it.
        is_own: Whether it is a folder that holds nothing but what was made for this user.
        is_closed: Whether it could not be looked into.
    """

    path: Path
    has_id: bool = False
    texts: int = 0
    is_own: bool = False
    is_closed: bool = False


class Search:
    """Looks for one user.

    Args:
        user_id: Whom.
        texts: What the user wrote or read, so far as it is known.
        folders: Names of folders that hold this user's alone.
    """

    def __init__(self, user_id: str, texts: Sequence[str], folders: Sequence[str]) -> None:
        ids = b"|".join(re.escape(form) for form in sorted(_forms(user_id))) if user_id else b"(?!)"
        self._id = re.compile(rb"(?<![\w.@-])(?:" + ids + rb")(?![\w.@-])")
        self._id_anywhere = re.compile(b"|".join([ids, re.escape(text_hash(user_id))]))
        self._texts = [_forms(text.strip()) for text in dict.fromkeys(texts) if len(text.strip()) >= SHORTEST]
        self._own = re.compile(r"\.?(?:" + "|".join(map(re.escape, folders)) + r")(?:\..*)?") if folders else None

    def below(self, place: Path) -> Iterator[Copy]:
        """Find the copies in a file, or in a folder and all below it; links are not followed."""
        if self._own and self._own.fullmatch(place.name) and place.is_dir():
            yield Copy(place, is_own=True)
        elif place.is_dir():
            yield from self._in_folder(place)
        elif place.is_file():
            yield from self._in_file(place)

    def _in_folder(self, folder: Path) -> Iterator[Copy]:
        try:
            paths = sorted(path for path in folder.iterdir() if not path.is_symlink())
        except OSError:
            yield Copy(folder, is_closed=True)
            return
        for path in paths:
            yield from self.below(path)

    def _in_file(self, path: Path) -> Iterator[Copy]:
        if path.suffix.lower() in _PACKED or path.name.lower().endswith(".parquet.gz"):
            yield Copy(path, is_closed=True)
            return
        try:
            found = self._look(path)
        except (OSError, EOFError, zlib.error):
            yield Copy(path, is_closed=True)
            return
        if found.has_id or found.texts:
            yield found

    def _look(self, path: Path) -> Copy:
        has_id, texts, sought = False, set[int](), None
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
            before = b""
            while chunk := file.read(_CHUNK):
                content = before + chunk
                is_binary = path.name == "users.bin" or content.startswith(_SQLITE)  # without marks around a value
                sought = sought or (self._id_anywhere if is_binary else self._id)
                has_id = has_id or bool(sought.search(content))
                texts |= {
                    number
                    for number, forms in enumerate(self._texts)
                    if number not in texts and any(form in content for form in forms)
                }
                before = content[-8 * _BEGINNING :]
        return Copy(path, has_id=has_id, texts=len(texts))


def remove_own(folder: Path) -> None:
    """Delete a folder that holds one user's alone: renamed first, that nobody reads half of it."""
    gone = folder if folder.name.startswith(".") else folder.with_name(f".{folder.name}.{os.getpid()}")
    if gone != folder:
        folder.rename(gone)
    shutil.rmtree(gone)


def _forms(text: str) -> set[bytes]:
    """Write the beginning of a text as it is, and as JSON, CSV and HTML write it."""
    forms = (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    written = (*forms, text.replace('"', '""'), escape(text), escape(text, quote=False))
    return {form.encode("utf-8", "surrogatepass")[:_BEGINNING] for form in written}
