"""What of a log has passed, in a temporary file, so that no log is too long."""

import sqlite3
from hashlib import blake2b
from types import TracebackType
from typing import TypeVar

from personaplug.errors import RepeatedIdError
from personaplug.records import HistoryItem
from personaplug.store.base import HASH_SIZE, text_hash
from personaplug.store.rows import content_hash

Seen = TypeVar("Seen", bound="_Seen")


class _Seen:
    """A table of hashes; it is gone when it is closed."""

    def __init__(self) -> None:
        self._held = sqlite3.connect("")  # without a name: on disk, and removed by SQLite itself
        self._held.execute("PRAGMA cache_size = -65536")  # 64 MiB, for keys in no order
        self._held.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID")

    def _is_first(self, key: bytes, content: bytes) -> bool:
        return bool(self._held.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, content)).rowcount)

    def __enter__(self: Seen) -> Seen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()


class SeenItems(_Seen):
    """Remembers items by user and id, each in a few dozen bytes."""

    def is_new(self, user_id: str, item: HistoryItem) -> bool:
        """Remember an item; tell whether it is the first of its user and id.

        Raises:
            RepeatedIdError: It is not, and differs from the first in time, input or output.
        """
        key = blake2b(text_hash(user_id) + text_hash(item.id), digest_size=HASH_SIZE).digest()
        content = content_hash(item)
        if self._is_first(key, content):
            return True
        ((first,),) = self._held.execute("SELECT content FROM seen WHERE key = ?", (key,))
        if first != content:
            raise RepeatedIdError(user_id, item.id)
        return False


class SeenTexts(_Seen):
    """Remembers texts by their hashes."""

    def is_new(self, hashed: bytes) -> bool:
        """Remember a text by its :func:`text_hash`; tell whether it is the first."""
        return self._is_first(hashed, b"")
