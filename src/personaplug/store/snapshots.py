"""Which snapshots a store has: those it remembers, by two ways to each, and the one beside its file, whoever made it.

A folder is remembered by its absolute path and by the way to it from the store's own folder: the first leads there when
the store alone moves, the second when both do.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from personaplug.errors import StoreError
from personaplug.store.bank import Bank, BankRows, destroy_bank
from personaplug.store.bank_place import clear_remains
from personaplug.store.base import StoreLayout, text_hash
from personaplug.store.database import Database
from personaplug.store.rows import read_vectors
from personaplug.store.schema import order_of_items


def beside(path: Path) -> Path:
    """Name the folder of the snapshot that a store's file has beside it."""
    return path.with_name(f"{path.name}.bank")


def remember(file: Database, folder: Path) -> None:
    """Note that a snapshot is, or will be, in a folder (absolute, without links): for good, that `forget` finds it."""
    ways = {str(folder), os.path.relpath(folder, file.path.resolve().parent)}
    if new := ways - {way for (way,) in file.rows("SELECT folder FROM snapshots")}:
        file.change("INSERT OR IGNORE INTO snapshots VALUES (?)", [(way,) for way in new])


def destroy_all(file: Database, *, identity: str) -> None:
    """Delete every snapshot of a store, and the one beside its file whichever store it was made from.

    Args:
        file: The store's.
        identity: The store's, by which its snapshots are known elsewhere.

    Raises:
        OSError: One is still there.
    """
    with file.reading():  # a remembered way may be damaged, too
        for folder in _beside(file):
            destroy_bank(folder, identity=None)
        for folder in _remembered(file):
            destroy_bank(folder, identity=identity)


def destroy_outdated(file: Database, *, identity: str, version: int) -> None:
    """Delete the snapshots that may hold users whom the store does not.

    Raises:
        StoreError: One is still there.
    """
    try:
        for folder in _beside(file):
            _destroy_unless_current(folder, None, (identity, version))
        for folder in _remembered(file):
            _destroy_unless_current(folder, identity, (identity, version))
    except OSError as error:
        reason = f"a snapshot that is out of date could not be deleted: {error}"
        raise StoreError(f"{file.path}: {reason}", hint="see to the cause, then repeat") from error


def _beside(file: Database) -> set[Path]:
    return {beside(path).resolve() for path in (file.path, file.path.resolve())} if file.is_on_disk else set()


def _remembered(file: Database) -> Iterator[Path]:
    home = file.path.resolve().parent
    for (way,) in file.rows("SELECT folder FROM snapshots"):
        yield home / str(way)


def _destroy_unless_current(folder: Path, owner: str | None, current: tuple[str, int]) -> None:
    try:
        manifest = Bank.open(folder).manifest
        is_current = (manifest.identity, manifest.version) == current
    except StoreError:
        is_current = False
    if is_current:
        clear_remains(folder)
    else:
        destroy_bank(folder, identity=owner)


def bank_rows(file: Database, layout: StoreLayout) -> Iterator[BankRows]:
    """Give each user's vectors as a bank holds them, by the hash of the user's id; for use inside a transaction.

    Raises:
        StoreError: The file is damaged.
    """
    users, order = "SELECT user_id, key FROM users ORDER BY text_hash(user_id)", order_of_items(file)
    for user_id, key in file.stream(users, text_hash=text_hash):
        items = file.rows(f"SELECT id, vectors FROM items WHERE user = ? ORDER BY {order}", key)
        with file.reading():
            ids, vectors = zip(*items, strict=True)
            read_vectors(stacked := b"".join(vectors), len(ids), len(layout.views), layout.dim)
            rows = BankRows(text_hash(user_id), ids, stacked)
        yield rows
