"""The persona store: every user's history items with their vectors, in one SQLite file."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Float, Float16

from personaplug.errors import StoreError
from personaplug.records import HistoryItem, Profile
from personaplug.store import schema
from personaplug.store.bank import Bank, write_bank
from personaplug.store.bank_place import check_free
from personaplug.store.base import VECTOR_TYPE, StoreLayout, UserSummary, checked_vectors, missing_item
from personaplug.store.database import Database
from personaplug.store.rows import (
    INSERT,
    content_hash,
    from_microseconds,
    item_row,
    places_of,
    read_item,
    read_vectors,
    to_microseconds,
)
from personaplug.store.snapshots import bank_rows, destroy_outdated, remember
from personaplug.store.user_keys import delete_user, key_of, keys_of, sorted_users
from personaplug.store.wiping import wipe_remains

__all__ = ["PersonaStore", "UserSummary"]

_STEP = 2**31  # of the version, at most: SQLite counts to 2**63


class PersonaStore:
    """An open store. Any number of processes may read and write one file; each process and thread opens its own.

    Make one with :meth:`open`; it closes as a context manager or by :meth:`close`.

    Args:
        file: A file that holds a store's tables.
        layout: What its vectors are made of.
    """

    def __init__(self, file: Database, layout: StoreLayout) -> None:
        self.path = file.path
        self.layout = layout
        self._file = file

    @classmethod
    def open(cls, path: Path | str, *, layout: StoreLayout | None = None) -> "PersonaStore":
        """Open a store, and make it first if it is not there and a layout is given.

        Args:
            path: The file.
            layout: What the store's vectors must be made of; None to take the store as it is.

        Raises:
            StoreError: There is no store, or the file is something else.
            FingerprintMismatchError: The store is of another layout.
        """
        path = Path(path)
        if not path.exists():
            if layout is None:
                raise StoreError(
                    f"{path}: there is no such store",
                    hint=f"make it: personaplug index LOG --task TASK --store {path}",
                )
            schema.create(path, layout)
        schema.warn_of_readers(path)
        file = Database(path)
        try:
            found = schema.read_layout(file)
            (layout or found).check(found, where=str(path))
        except StoreError:
            file.close()
            raise
        return cls(file, found)

    @classmethod
    def in_memory(cls, layout: StoreLayout) -> "PersonaStore":
        """Make an empty store that never touches the disk and is gone once it is closed."""
        file = Database(Path(":memory:"))
        file.rows("PRAGMA temp_store = MEMORY")
        schema.lay_out(file, layout)
        return cls(file, layout)

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._file.close()

    def __enter__(self) -> "PersonaStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def version(self) -> int:
        """A number that grows whenever an item comes, changes or goes: a key for caches.

        It grows by lot, so that a store and its copy, each gone on by itself, do not come to the same number.
        """
        return schema.read_meta(self._file, int, "version")

    @property
    def identity(self) -> str:
        """A random name of this store, its own from when it was made."""
        return schema.read_meta(self._file, str, "identity")

    @property
    def has_remains(self) -> bool:
        """Whether a forget was cut short, which the next one finishes."""
        return bool(schema.read_meta(self._file, int, "unscrubbed"))

    def count(self) -> int:
        """Count the items of all users."""
        return self._file.value(int, "SELECT count(*) FROM items")

    def users(self) -> Iterator[str]:
        """Iterate over the user ids, sorted; users that come or go meanwhile may be among them or not."""
        return sorted_users(self._file)

    def get(self, user_id: str) -> Profile:
        """Read all of a user's items; those of one moment stand in the order in which they were first appended.

        Raises:
            UnknownUserError: The store holds nothing of the user.
        """
        query = f"SELECT id, input, output, time FROM items WHERE user = ? ORDER BY {schema.order_of_items(self._file)}"
        rows = self._file.rows(query, key_of(self._file, user_id))
        with self._file.reading():
            return Profile(user_id, tuple(read_item(*row) for row in rows))

    def summary(self, user_id: str) -> UserSummary:
        """Say how much the store holds of a user, without reading a text.

        Raises:
            UnknownUserError: It holds nothing.
        """
        query = "SELECT count(*), min(time), max(time) FROM items WHERE user = ?"
        ((items, first, last),) = self._file.rows(query, key_of(self._file, user_id))
        with self._file.reading():
            return UserSummary(user_id, items, from_microseconds(first), from_microseconds(last))

    def vectors(self, profile: Profile) -> Float16[np.ndarray, "items views dim"]:
        """Fetch the vectors of a profile's items, in the profile's order.

        Items are known by user, id and time; whether their texts are still those that were indexed is not looked at.

        Raises:
            StoreError: An item is not in the store.
        """
        shape = (len(profile.items), len(self.layout.views), self.layout.dim)
        if not profile.items:
            return np.zeros(shape, VECTOR_TYPE)
        own = "user = (SELECT key FROM users WHERE user_id = ?)"
        query = f"SELECT id, vectors FROM items WHERE {own} AND time BETWEEN ? AND ?"
        span = to_microseconds(profile.items[0].time), to_microseconds(profile.items[-1].time)
        found: dict[str, bytes] = dict(self._file.rows(query, profile.user_id, *span))
        for item in profile.items:
            if item.id not in found:
                raise missing_item(item.id, where=str(self.path))
        with self._file.reading():
            return read_vectors(bytearray().join(found[item.id] for item in profile.items), *shape)

    def known(self, hashes: Sequence[bytes]) -> Mapping[bytes, Float16[np.ndarray, " dim"]]:
        """Look up texts by :func:`text_hash`, whichever user, item and view they came from.

        Returns:
            The vectors of those found.
        """
        found, dim = {}, self.layout.dim
        for wanted in dict.fromkeys(hashes):
            for view in range(len(self.layout.views)):
                query = f"SELECT {schema.vector_of(view, dim)} FROM items WHERE {schema.hash_of(view)} = ? LIMIT 1"
                if row := self._file.rows(query, wanted):
                    with self._file.reading():
                        found[wanted] = read_vectors(row[0][0], dim)
                    break
        return found

    def missing(self, user_id: str, items: Sequence[HistoryItem]) -> list[HistoryItem]:
        """Pick the items that the store does not hold as they are: new, or of another time or content.

        Where an id comes twice, its last item counts.
        """
        latest = {item.id: item for item in items}
        query = "SELECT 1 FROM items WHERE user = (SELECT key FROM users WHERE user_id = ?) AND id = ? AND content = ?"
        return [item for item in latest.values() if not self._file.rows(query, user_id, item.id, content_hash(item))]

    def append(self, user_id: str, items: Sequence[HistoryItem], vectors: Float[np.ndarray, "items views dim"]) -> int:
        """Add items to a user's history, all or none; those held already as they are stay, those changed are replaced.

        Args:
            user_id: The user; unknown ones are new.
            items: In any order, save that those of one moment keep theirs.
            vectors: One stack of views for each, of unit length, zero where a view's text is empty.

        Returns:
            How many items are new or changed.

        Raises:
            StoreError: The vectors do not fit, or the file cannot be written.
        """
        vectors_of = dict(
            zip((item.id for item in items), checked_vectors(vectors, items, layout=self.layout), strict=True)
        )
        with self._file.transaction():
            if written := self.missing(user_id, items):
                schema.bring_up_to_date(self._file)
                self._file.rows("INSERT OR IGNORE INTO users (user_id) VALUES (?)", user_id)
                key = key_of(self._file, user_id)
                placed = zip(written, places_of(self._file, key, written), strict=True)
                self._file.change("DELETE FROM items WHERE user = ? AND id = ?", [(key, item.id) for item in written])
                rows = [item_row(key, each, at, vectors_of[each.id], layout=self.layout) for each, at in placed]
                self._file.change(INSERT, rows)
                self._grow_version()
        return len(written)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Store what is appended inside as one change: all of it or, after an error or a kill, none. Keep it short."""
        with self._file.transaction():
            yield

    def forget(self, *user_ids: str) -> int:
        """Remove users, and every byte of them from the file, its write-ahead log and the snapshots made from it.

        The whole file is written anew, for the reason that :mod:`personaplug.store.wiping` gives; that takes as long as
        copying it about twice and needs twice its size free, so forget many users at once. Snapshots are deleted, not
        mended. Where a forget was cut short, the next one, of whatever users, finishes it.

        Returns:
            How many items are gone.

        Raises:
            UnknownUserError: The store holds nothing of one of the users; then none is forgotten.
            StoreError: Remains could not be wiped out, be it that another process kept the file busy; repeat.
        """
        if was_cut_short := self.has_remains:
            wipe_remains(self._file, identity=self.identity)
        with self._file.transaction():
            if not any(keys_of(self._file, user_id) for user_id in user_ids):
                destroy_outdated(self._file, identity=self.identity, version=self.version)
                if was_cut_short:
                    return 0
            gone = sum(delete_user(self._file, user_id) for user_id in dict.fromkeys(user_ids))
            self._grow_version()
            self._file.rows("UPDATE meta SET value = ? WHERE key = 'unscrubbed'", self.version)
        wipe_remains(self._file, identity=self.identity)
        return gone

    def snapshot(self, folder: Path | str) -> Bank:
        """Write all vectors, without any text, as a memory-mapped :class:`Bank`, in place of what stands there.

        The store remembers the folder for :meth:`forget`. Writers and other snapshots wait until it is done.

        Raises:
            StoreError: The folder holds something else, or another process kept the store busy.
        """
        folder = Path(folder).resolve()
        check_free(folder)
        self.remember(folder)  # before it is written: a folder that is not known here would outlive `forget`
        with self._file.transaction():
            write_bank(
                folder,
                bank_rows(self._file, self.layout),
                layout=self.layout,
                identity=self.identity,
                version=self.version,
            )
            return Bank.open(folder)  # an open bank stays readable when the next one takes its place

    def remember(self, folder: Path) -> None:
        """Note for good that a snapshot of this store is in a folder, so that :meth:`forget` deletes it."""
        remember(self._file, folder.resolve())

    def _grow_version(self) -> None:
        self._file.rows("UPDATE meta SET value = value + ? WHERE key = 'version'", 1 + secrets.randbelow(_STEP))
