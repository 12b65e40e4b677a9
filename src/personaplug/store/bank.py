"""A snapshot of a store's vectors for training: memory-mapped, without texts, whose RAM does not grow with users.

A folder of four files, numbers little-endian, users in the order of their hashes and their items oldest first:
``manifest.json``; ``users.bin``, each user's 16-byte hash; ``starts.u64``, where each user's items begin, and the end;
``items.u64``, an 8-byte hash of each item's id; ``vectors.f16`` [items, views, dim].
"""

import json
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float16, Int64, UInt64

from personaplug.config import from_mapping
from personaplug.errors import ConfigError, StoreError
from personaplug.records import Profile
from personaplug.store.bank_place import check_free, clear, clear_remains, discard_draft, new_draft, new_file, put
from personaplug.store.base import HASH_SIZE, VECTOR_TYPE, StoreLayout, is_finite, missing_item, text_hash

FORMAT = 1
KEY_TYPE = np.dtype("<u8")
_ANEW = "delete the snapshot's folder; the next `personaplug train` makes it anew"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bank says of itself.

    Attributes:
        format: Version of the files' layout.
        identity: Of the store it was made from.
        version: Of that store when it was made.
        users: How many.
        items: How many.
        layout: What the vectors are made of.
    """

    format: int
    identity: str
    version: int
    users: int
    items: int
    layout: StoreLayout

    def __post_init__(self) -> None:
        if min(self.users, self.items) < 0:
            raise ValueError(f"users {self.users} and items {self.items} must be 0 or more")


@dataclass(frozen=True, slots=True)
class BankRows:
    """One user's rows as they go into a bank: ``vectors`` are the bytes of float16 [items, views, dim]."""

    user_hash: bytes
    item_ids: tuple[str, ...]
    vectors: bytes


@runtime_checkable
class VersionedSource(Protocol):
    """What a bank can be compared with: the store it was made from."""

    @property
    def identity(self) -> str:
        """The store's own random name."""

    @property
    def version(self) -> int:
        """Grows with each change."""


class Bank:
    """An open bank; threads and forked processes may share it.

    Make one with :meth:`open`.

    Args:
        folder: The files.
        manifest: What they are.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        views, dim = len(manifest.layout.views), manifest.layout.dim
        self.folder = folder
        self.manifest = manifest
        self._users = _map(folder / "users.bin", np.dtype("u1"), shape=(manifest.users, HASH_SIZE))
        self._starts = _map(folder / "starts.u64", KEY_TYPE, shape=(manifest.users + 1,))
        self._items = _map(folder / "items.u64", KEY_TYPE, shape=(manifest.items,))
        self._vectors = _map(folder / "vectors.f16", VECTOR_TYPE, shape=(manifest.items, views, dim))

    @classmethod
    def open(cls, folder: Path | str) -> "Bank":
        """Open a bank.

        Raises:
            StoreError: The folder holds no bank, a broken one, or one of another version.
        """
        folder = Path(folder)
        manifest = _read_manifest(folder)
        if manifest is None:
            raise StoreError(f"{folder}: there is no snapshot", hint="make it: PersonaStore.snapshot(folder)")
        return cls(folder, manifest)

    @property
    def layout(self) -> StoreLayout:
        """What the vectors are made of."""
        return self.manifest.layout

    def is_current(self, store: VersionedSource) -> bool:
        """Tell whether the bank was made from this store and nothing has changed since."""
        return (self.manifest.identity, self.manifest.version) == (store.identity, store.version)

    def vectors(self, profile: Profile) -> Float16[np.ndarray, "items views dim"]:
        """Fetch the vectors of a profile's items, in the profile's order.

        Raises:
            StoreError: An item is not in the bank.
        """
        begin, end = self._span(profile.user_id)
        stored = self._items[begin:end]
        wanted = item_keys(item.id for item in profile.items)
        run = _run_of(wanted, stored)
        if run is not None:
            return self._read(slice(begin + run, begin + run + len(wanted)))
        rows = _positions(wanted, stored)
        if (rows < 0).any():
            raise missing_item(profile.items[int(np.argmax(rows < 0))].id, where=str(self.folder))
        return self._read(begin + rows)

    def _read(self, rows: slice | Int64[np.ndarray, " items"]) -> Float16[np.ndarray, "items views dim"]:
        vectors = np.array(self._vectors[rows])
        if not is_finite(vectors):
            raise StoreError(f"{self.folder}: the snapshot is damaged", hint=_ANEW)
        return vectors

    def _span(self, user_id: str) -> tuple[int, int]:
        wanted = text_hash(user_id)
        place = bisect_left(range(self.manifest.users), wanted, key=lambda row: self._users[row].tobytes())
        if place == self.manifest.users or self._users[place].tobytes() != wanted:
            return 0, 0
        return int(self._starts[place]), int(self._starts[place + 1])


def write_bank(folder: Path, users: Iterable[BankRows], *, layout: StoreLayout, identity: str, version: int) -> None:
    """Write a bank beside its place, then put it there.

    Args:
        folder: Where it goes; a bank that stands there is replaced.
        users: By ascending hash.
        layout: What the vectors are made of.
        identity: The store's.
        version: The store's.

    Raises:
        StoreError: Something else stands there, the disk is full, or the users cannot be read.
    """
    check_free(folder)
    try:
        draft = new_draft(folder)
        manifest = Manifest(FORMAT, identity, version, *_write_rows(draft, users), layout)
        with new_file(draft / "manifest.json") as file:
            file.write(json.dumps(asdict(manifest), indent=1).encode())
        put(folder)
    except StoreError:
        discard_draft(folder)
        raise
    except OSError as error:
        discard_draft(folder)
        raise StoreError(f"{folder}: the snapshot cannot be written: {error.strerror}") from error


def destroy_bank(folder: Path, *, identity: str | None) -> None:
    """Delete a bank, whole or not, and what interrupted writers left.

    Args:
        folder: Where it is, or was.
        identity: Of the store it was made from; another store's stays. None to delete it whoever's it is.

    Raises:
        OSError: Something of it is still there.
    """
    owner = _owner(folder)
    if identity is None or owner is None or owner == identity:
        clear(folder)
    else:
        clear_remains(folder)


def item_keys(item_ids: Iterable[str]) -> UInt64[np.ndarray, " items"]:
    """Hash items' ids to the 8 bytes each has in a bank."""
    encoded = (item_id.encode("utf-8", "surrogatepass") for item_id in item_ids)
    return np.frombuffer(b"".join([blake2b(text, digest_size=8).digest() for text in encoded]), KEY_TYPE)


def _run_of(wanted: UInt64[np.ndarray, " wanted"], stored: UInt64[np.ndarray, " stored"]) -> int | None:
    """Find where all of ``wanted`` stand one after the other, as the latest or all items of a user do."""
    if not len(wanted):
        return 0
    places = np.flatnonzero(stored == wanted[0])
    if len(places) and np.array_equal(stored[places[0] : places[0] + len(wanted)], wanted):
        return int(places[0])
    return None


def _positions(
    wanted: UInt64[np.ndarray, " wanted"], stored: UInt64[np.ndarray, " stored"]
) -> Int64[np.ndarray, " wanted"]:
    row_of = {int(key): row for row, key in enumerate(stored)}
    return np.array([row_of.get(int(key), -1) for key in wanted], np.int64)


def _write_rows(draft: Path, users: Iterable[BankRows]) -> tuple[int, int]:
    user_count = item_count = 0
    with (
        new_file(draft / "users.bin") as hashes,
        new_file(draft / "starts.u64") as starts,
        new_file(draft / "items.u64") as items,
        new_file(draft / "vectors.f16") as vectors,
    ):
        for rows in users:
            hashes.write(rows.user_hash)
            starts.write(np.array(item_count, KEY_TYPE).tobytes())
            items.write(item_keys(rows.item_ids).tobytes())
            vectors.write(rows.vectors)
            user_count, item_count = user_count + 1, item_count + len(rows.item_ids)
        starts.write(np.array(item_count, KEY_TYPE).tobytes())
    return user_count, item_count


def _read_manifest(folder: Path) -> Manifest | None:
    path = folder / "manifest.json"
    try:
        values = json.loads(path.read_bytes())
        if values["format"] != FORMAT:
            raise StoreError(f"{folder}: a snapshot of format {values['format']}, not {FORMAT}", hint=_ANEW)
        return from_mapping(Manifest, values, where=str(path))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError, ConfigError, OSError) as error:
        raise StoreError(f"{path}: not the manifest of a snapshot", hint=_ANEW) from error


def _owner(folder: Path) -> str | None:
    """Read whose bank it is, of whatever format; None where it does not say."""
    try:
        values = json.loads((folder / "manifest.json").read_bytes())
        return values["identity"] if isinstance(values["identity"], str) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _map(path: Path, dtype: np.dtype[Any], *, shape: tuple[int, ...]) -> np.ndarray:
    size = prod(shape) * dtype.itemsize
    if not path.is_file() or path.stat().st_size != size:
        raise StoreError(f"{path}: missing or not of {size} bytes", hint=_ANEW)
    return np.memmap(path, dtype, "r", shape=shape) if size else np.zeros(shape, dtype)
