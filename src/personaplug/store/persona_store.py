"""The persona store: every user's history items with their vectors, in one SQLite file or in Postgres."""

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
from personaplug.store.address import Address, store_address
from personaplug.store.bank import Bank, write_bank
from personaplug.store.bank_place import check_free
from personaplug.store.base import VECTOR_TYPE, StoreLayout, UserSummary, checked_vectors, missing_item
from personaplug.store.opening import open_tables
from personaplug.store.rows import (
    COUNT_PLACES,
    DELETE,
    INSERT,
    content_hash,
    from_microseconds,
    held_values,
    item_row,
    places_of,
    read_item,
    read_vectors,
    to_microseconds,
)
from personaplug.store.snapshots import bank_rows, destroy_outdated, remember
from personaplug.store.sqlite_tables import SqliteTables
from personaplug.store.tables import Tables, parts
from personaplug.store.user_keys import delete_user, key_for, key_of, keys_of, sorted_users
from personaplug.store.wiping import wipe_remains

__all__ = ["PersonaStore", "UserSummary"]

_GROW_VERSION = "UPDATE meta SET value = value + ? WHERE key = 'version'"
_STEP = 2**31  # of the version, at most: SQLite counts to 2**63


class PersonaStore:
    """An open store. Any number of processes may read and write it; each process and thread opens its own.

    Make one with :meth:`open`; it closes as a context manager or by :meth:`close`.

    Args:
        tables: A database that holds a store's tables.
        layout: What its vectors are made of.
    """

    def __init__(self, tables: Tables, layout: StoreLayout) -> None:
        self.path = tables.path
        self.layout = layout
        self._tables = tables

    @classmethod
    def open(cls, path: Address | str, *, layout: StoreLayout | None = None) -> "PersonaStore":
        """Open a store, and make it first if it is not there and a layout is given.

        Args:
            path: The file, or ``postgresql://...`` (see :class:`personaplug.store.address.PostgresUrl`).
            layout: What the store's vectors must be made of; None to take the store as it is.

        Raises:
            StoreError: There is no store, or what is there is something else.
            FingerprintMismatchError: The store is of another layout.
            MissingExtraError: It is in Postgres, and psycopg is not installed.
        """
        tables = open_tables(store_address(path), layout)
        try:
            found = tables.layout()
            (layout or found).check(found, where=str(tables.path))
        except StoreError:
            tables.close()
            raise
        return cls(tables, found)

    @classmethod
    def in_memory(cls, layout: StoreLayout) -> "PersonaStore":
        """Make an empty store that never touches the disk and is gone once it is closed."""
        return cls(SqliteTables.in_memory(layout), layout)

    def close(self) -> None:
        """Close it; the store cannot be used afterwards."""
        self._tables.close()

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
        return self._tables.meta(int, "version")

    @property
    def identity(self) -> str:
        """A random name of this store, its own from when it was made."""
        return self._tables.meta(str, "identity")

    @property
    def has_remains(self) -> bool:
        """Whether a forget was cut short, which the next one finishes."""
        return bool(self._tables.meta(int, "unscrubbed"))

    @property
    def is_reachable(self) -> bool:
        """Whether the database answers; one that is away is waited for a few seconds. Any thread may ask."""
        return self._tables.is_reachable()

    def count(self) -> int:
        """Count the items of all users."""
        return self._tables.value(int, "SELECT count(*) FROM items")

    def users(self) -> Iterator[str]:
        """Iterate over the user ids, sorted; users that come or go meanwhile may be among them or not."""
        return sorted_users(self._tables)

    def get(self, user_id: str) -> Profile:
        """Read all of a user's items; those of one moment stand in the order in which they were first appended.

        Raises:
            UnknownUserError: The store holds nothing of the user.
        """
        query = f'SELECT id, input, output, time FROM items WHERE "user" = ? ORDER BY {self._tables.order_of_items()}'
        rows = self._tables.rows(query, key_of(self._tables, user_id))
        with self._tables.reading():
            return Profile(user_id, tuple(read_item(*row) for row in rows))

    def summary(self, user_id: str) -> UserSummary:
        """Say how much the store holds of a user, without reading a text.

        Raises:
            UnknownUserError: It holds nothing.
        """
        query = 'SELECT count(*), min(time), max(time) FROM items WHERE "user" = ?'
        ((items, first, last),) = self._tables.rows(query, key_of(self._tables, user_id))
        with self._tables.reading():
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
        own = '"user" = (SELECT key FROM users WHERE user_id = ?)'
        query = f"SELECT id, vectors FROM items WHERE {own} AND time BETWEEN ? AND ?"
        span = to_microseconds(profile.items[0].time), to_microseconds(profile.items[-1].time)
        found: dict[str, bytes] = dict(self._tables.rows(query, profile.user_id, *span))
        for item in profile.items:
            if item.id not in found:
                raise missing_item(item.id, where=str(self.path))
        with self._tables.reading():
            return read_vectors(bytearray().join(found[item.id] for item in profile.items), *shape)

    def known(self, hashes: Sequence[bytes]) -> Mapping[bytes, Float16[np.ndarray, " dim"]]:
        """Look up texts by :func:`text_hash`, whichever user, item and view they came from.

        Returns:
            The vectors of those found.
        """
        dim, found, believed = self.layout.dim, dict[bytes, Float16[np.ndarray, " dim"]](), self._tables.believed()
        for view in range(len(self.layout.views)):
            is_it = f"{schema.hash_of(view)} = wanted.hash AND {believed}"
            one = f"SELECT {schema.vector_of(view, dim)} FROM items WHERE {is_it} LIMIT 1"
            for some in parts([key for key in dict.fromkeys(hashes) if key not in found]):
                listed = f"WITH wanted (hash) AS (VALUES {', '.join(['(?)'] * len(some))})"
                rows = self._tables.rows(f"{listed} SELECT hash, ({one}) FROM wanted", *some)
                with self._tables.reading():
                    found |= {key: read_vectors(stored, dim) for key, stored in rows if stored is not None}
        return found

    def missing(self, user_id: str, items: Sequence[HistoryItem]) -> list[HistoryItem]:
        """Pick the items that the store does not hold as they are: new, or of another time or content.

        Where an id comes twice, its last item counts.
        """
        latest = {item.id: item for item in items}
        held = held_values(self._tables, "content", user_id, list(latest))
        return [item for item in latest.values() if held.get(item.id) != content_hash(item)]

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
        with self._tables.transaction():
            if written := self.missing(user_id, items):
                self._tables.bring_up_to_date()
                key = key_for(self._tables, user_id)
                placed = zip(written, places_of(self._tables, user_id, written), strict=True)
                self._tables.change_all(
                    (COUNT_PLACES, [(len(written),)]),
                    (DELETE, [(key, item.id) for item in written]),
                    (
                        INSERT,
                        [item_row(key, each, at, vectors_of[each.id], layout=self.layout) for each, at in placed],
                    ),
                    (_GROW_VERSION, [(_step(),)]),
                )
        return len(written)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Store what is appended inside as one change: all of it or, after an error or a kill, none. Keep it short."""
        with self._tables.transaction():
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
            wipe_remains(self._tables, identity=self.identity)
        with self._tables.transaction():
            self._tables.bring_up_to_date()
            if not any(keys_of(self._tables, user_id) for user_id in user_ids):
                destroy_outdated(self._tables, identity=self.identity, version=self.version)
                if was_cut_short:
                    return 0
            gone = sum(delete_user(self._tables, user_id) for user_id in dict.fromkeys(user_ids))
            self._tables.rows(_GROW_VERSION, _step())
            self._tables.rows("UPDATE meta SET value = ? WHERE key = 'unscrubbed'", self.version)
        wipe_remains(self._tables, identity=self.identity)
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
        with self._tables.held():
            write_bank(
                folder,
                bank_rows(self._tables, self.layout),
                layout=self.layout,
                identity=self.identity,
                version=self.version,
            )
            return Bank.open(folder)  # an open bank stays readable when the next one takes its place

    def own_snapshot(self) -> Path:
        """Name the folder for the store's own snapshot: beside its file; for Postgres in this machine's cache."""
        return self._tables.bank_folder()

    def own_files(self) -> set[Path]:
        """Name what of this machine's disk is the store's own: files and the folder of its snapshot."""
        return self._tables.own_files()

    def remember(self, folder: Path) -> None:
        """Note for good that a snapshot of this store is in a folder, so that :meth:`forget` deletes it."""
        remember(self._tables, folder.resolve())


def _step() -> int:
    """Draw by how much the version grows."""
    return 1 + secrets.randbelow(_STEP)
