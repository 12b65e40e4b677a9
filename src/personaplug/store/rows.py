"""How a history item stands in the table: its moment and its place as numbers, its content as hashes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import numpy as np
from jaxtyping import Float16

from personaplug.errors import StoreError
from personaplug.records import HistoryItem
from personaplug.store.base import HASH_SIZE, VECTOR_TYPE, StoreLayout, is_finite, text_hash
from personaplug.store.tables import Tables, marks, parts

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
COLUMNS = ("user", "time", "id", "place", "content", "hashes", "vectors", "input", "output")
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
DELETE = 'DELETE FROM items WHERE "user" = ? AND id = ?'
COUNT_PLACES = "UPDATE meta SET value = value + ? WHERE key = 'placed'"
INSERT = f"INSERT INTO items ({_NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"
_FIRST, _LAST = ((end.replace(tzinfo=UTC) - EPOCH) // MICROSECOND for end in (datetime.min, datetime.max))


def to_microseconds(time: datetime) -> int:
    """Count whole microseconds since 1970, UTC.

    Raises:
        StoreError: In UTC it would lie outside the years 1 to 9999, so that it could not be read again.
    """
    count = (time - EPOCH) // MICROSECOND
    if not _FIRST <= count <= _LAST:
        raise StoreError(f"the time {time.isoformat()} lies outside the years 1 to 9999 in UTC")
    return count


def from_microseconds(count: int) -> datetime:
    """Give the moment so many microseconds after 1970, in UTC."""
    return EPOCH + count * MICROSECOND


def content_hash(item: HistoryItem) -> bytes:
    """Hash what makes two items of one id the same: time, input and output."""
    parts = (str(to_microseconds(item.time)), item.input, item.output)
    return blake2b(b"".join(text_hash(part) for part in parts), digest_size=HASH_SIZE).digest()


def read_item(item_id: str, input_text: str, output: str, time: int) -> HistoryItem:
    """Make an item of what the table holds.

    Raises:
        TypeError: That is not what was put there; so are the other errors.
        OverflowError: See above.
    """
    if not all(type(text) is str for text in (item_id, input_text, output)):
        raise TypeError("not texts")
    return HistoryItem(item_id, input_text, output, from_microseconds(time))


def read_vectors(stored: bytes | bytearray, *shape: int) -> Float16[np.ndarray, "..."]:
    """Make an array, over these very bytes, of what the table holds.

    Raises:
        ValueError: They are not so many numbers, or one is not finite.
    """
    vectors = np.frombuffer(stored, VECTOR_TYPE).reshape(shape)
    if not is_finite(vectors):
        raise ValueError("not finite")
    return vectors


def item_row(
    user: int, item: HistoryItem, place: int, vectors: Float16[np.ndarray, "views dim"], *, layout: StoreLayout
) -> tuple[Any, ...]:
    """Write an item in the order of :data:`COLUMNS`."""
    hashes = b"".join(text_hash(text) for text in layout.texts(item))
    stored = content_hash(item), hashes, vectors.tobytes()
    return (user, to_microseconds(item.time), item.id, place, *stored, item.input, item.output)


def places_of(tables: Tables, user_id: str, items: Sequence[HistoryItem]) -> list[int]:
    """Give items that are about to be written their places: a changed one has its old one, a new one is behind all.

    For use inside a transaction, which then counts them by :data:`COUNT_PLACES`.
    """
    held = held_values(tables, "place", user_id, [item.id for item in items])
    last = tables.meta(int, "placed")
    return [held.get(item.id, last + number) for number, item in enumerate(items, start=1)]


def held_values(tables: Tables, column: str, user_id: str, item_ids: Sequence[str]) -> dict[str, Any]:
    """Look up one column of those of a user's items that are there, by their ids."""
    found: dict[str, Any] = {}
    own = '"user" = (SELECT key FROM users WHERE user_id = ?)'
    for ids in parts(list(item_ids)):
        found |= dict(
            tables.rows(f"SELECT id, {column} FROM items WHERE {own} AND id IN ({marks(ids)})", user_id, *ids)
        )
    return found
