"""Which snapshots a store has: those it remembers, and its own, where it makes one if no folder is named.

A file's own lies beside it, whoever made it. There a folder is remembered by its absolute path and by the way to it
from the store's own folder: the first leads there when the store alone moves, the second when both do.
"""

from collections.abc import Iterator
from pathlib import Path

from personaplug.errors import StoreError
from personaplug.store.bank import Bank, BankRows, destroy_bank
from personaplug.store.bank_place import clear_remains
from personaplug.store.base import StoreLayout, text_hash
from personaplug.store.rows import read_vectors
from personaplug.store.tables import Tables


def beside(path: Path) -> Path:
    """Name the folder of the snapshot that a store's file has beside it."""
    return path.with_name(f"{path.name}.bank")


def remember(tables: Tables, folder: Path) -> None:
    """Note that a snapshot is, or will be, in a folder (absolute, without links): for good, that `forget` finds it."""
    ways = tables.ways_to(folder)
    if new := ways - {way for (way,) in tables.rows("SELECT folder FROM snapshots")}:
        tables.change("INSERT INTO snapshots VALUES (?) ON CONFLICT DO NOTHING", [(way,) for way in new])


def destroy_all(tables: Tables, *, identity: str) -> None:
    """Delete every snapshot of a store that is on this machine, and its own whichever store that was made from.

    Args:
        tables: The store's.
        identity: The store's, by which its snapshots are known elsewhere.

    Raises:
        OSError: One is still there.
    """
    with tables.reading():  # a remembered way may be damaged, too
        for folder in tables.bank_folders():
            destroy_bank(folder, identity=None)
        for folder in _remembered(tables):
            destroy_bank(folder, identity=identity)


def destroy_outdated(tables: Tables, *, identity: str, version: int) -> None:
    """Delete the snapshots that may hold users whom the store does not.

    Raises:
        StoreError: One is still there.
    """
    try:
        for folder in tables.bank_folders():
            _destroy_unless_current(folder, None, (identity, version))
        for folder in _remembered(tables):
            _destroy_unless_current(folder, identity, (identity, version))
    except OSError as error:
        reason = f"a snapshot that is out of date could not be deleted: {error}"
        raise StoreError(f"{tables.path}: {reason}", hint="see to the cause, then repeat") from error


def bank_rows(tables: Tables, layout: StoreLayout) -> Iterator[BankRows]:
    """Give each user's vectors as a bank holds them, by the hash of the user's id; for use while the store is held.

    Raises:
        StoreError: The tables are damaged.
    """
    order = tables.order_of_items()
    for user_id, key in tables.users_by_hash():
        items = tables.rows(f'SELECT id, vectors FROM items WHERE "user" = ? ORDER BY {order}', key)
        with tables.reading():
            ids, vectors = zip(*items, strict=True)
            read_vectors(stacked := b"".join(vectors), len(ids), len(layout.views), layout.dim)
            rows = BankRows(text_hash(user_id), ids, stacked)
        yield rows


def _remembered(tables: Tables) -> Iterator[Path]:
    for (way,) in tables.rows("SELECT folder FROM snapshots"):
        if folder := tables.folder_at(way):
            yield folder


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
