"""Wiping out what deleted rows leave in a store's files.

SQLite's ``secure_delete`` overwrites a row where it stands. But when SQLite splits or merges pages, rows move, and what
they leave in the unused part of the old page stays, readable, until that part is used again. Only VACUUM, which writes
every live row to new pages, gets rid of it; truncating the write-ahead log gets rid of the old pages there.
"""

from personaplug.errors import StoreError
from personaplug.store.database import DAMAGED, RESTORE, Database
from personaplug.store.schema import read_meta
from personaplug.store.snapshots import destroy_all

REPEAT = "close what else uses the store, see to the cause, then repeat: that finishes the work"


def wipe_remains(file: Database, *, identity: str) -> None:
    """Wipe what deleted rows left in the file, its write-ahead log and the snapshots made from it.

    Until it is done, ``unscrubbed`` in the file holds the version of the deletion, so that a later call can finish it.

    Args:
        file: The store's file, outside any transaction.
        identity: The store's, by which its snapshots are known.

    Raises:
        StoreError: Something kept it from being done.
    """
    deletion = read_meta(file, int, "unscrubbed")
    try:
        file.rows("VACUUM")
        ((is_busy, _, _),) = file.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        if is_busy:
            raise StoreError(f"{file.path}: another process reads the store")
        with file.transaction():  # no snapshot is in the making meanwhile
            destroy_all(file, identity=identity)
            file.rows("UPDATE meta SET value = 0 WHERE key = 'unscrubbed' AND value = ?", deletion)
    except (StoreError, OSError) as error:
        raise StoreError(
            f"the rows are deleted, but remains of them could not be wiped out: {error}",
            hint=RESTORE if DAMAGED in str(error) else REPEAT,
        ) from error
