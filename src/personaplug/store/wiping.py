"""Wiping out what deleted rows leave in a store's files and snapshots.

SQLite's ``secure_delete`` overwrites a row where it stands. But when SQLite splits or merges pages, rows move, and what
they leave in the unused part of the old page stays, readable, until that part is used again. Only VACUUM, which writes
every live row to new pages, gets rid of it; truncating the write-ahead log gets rid of the old pages there.

Postgres leaves a deleted row where it stood, too: see :mod:`personaplug.store.postgres.vacuum`.
"""

from personaplug.errors import StoreError
from personaplug.store.snapshots import destroy_all
from personaplug.store.tables import Tables

REPEAT = "close what else uses the store, see to the cause, then repeat: that finishes the work"


def wipe_remains(tables: Tables, *, identity: str) -> None:
    """Wipe what deleted rows left in the tables and the snapshots made from them.

    Until it is done, ``unscrubbed`` in the store holds the version of the deletion, so that a later call can finish it.

    Args:
        tables: The store's, outside any transaction.
        identity: The store's, by which its snapshots are known.

    Raises:
        StoreError: Something kept it from being done.
    """
    deletion = tables.meta(int, "unscrubbed")
    try:
        tables.wipe()
        with tables.held():  # no snapshot is in the making meanwhile, and a later one holds nothing of the deleted
            destroy_all(tables, identity=identity)
        with tables.transaction():
            tables.rows("UPDATE meta SET value = 0 WHERE key = 'unscrubbed' AND value = ?", deletion)
    except (StoreError, OSError) as error:
        damage = tables.damage()
        raise StoreError(
            f"the rows are deleted, but remains of them could not be wiped out: {error}",
            hint=damage.hint if isinstance(error, StoreError) and error.hint == damage.hint else REPEAT,
        ) from error
