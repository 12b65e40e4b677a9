"""Writing the tables anew, so that their files hold nothing of deleted rows.

Postgres leaves a deleted row where it stood until VACUUM, and VACUUM leaves its bytes until they are overwritten.
VACUUM FULL writes the rows that are left to new files, with new indexes. It needs as much space as they take and lets
nobody read meanwhile. It keeps a deleted row that an older transaction of the database may still see: only its report
tells of that.
"""

import re
from time import monotonic, sleep

from psycopg.errors import Diagnostic

from personaplug.errors import StoreError
from personaplug.store.postgres import connection
from personaplug.store.postgres.connection import PostgresDatabase
from personaplug.store.postgres.failures import told

_TABLES = ("users", "items")
_WAIT = 0.2


def write_anew(database: PostgresDatabase) -> None:
    """Write the tables that have held users' rows anew.

    Raises:
        StoreError: Another transaction kept deleted rows alive for too long, or the role does not own the tables.
    """
    until = monotonic() + connection.BUSY_SECONDS
    while kept := sum(_kept(database, table) for table in _TABLES):
        if monotonic() > until:
            raise StoreError(f"{database.path}: an older transaction may still see {kept:,} rows")
        sleep(_WAIT)


def _kept(database: PostgresDatabase, table: str) -> int:
    """Write one table anew; count the deleted rows that had to stay."""
    reports: list[str] = []

    def note(diagnostic: Diagnostic) -> None:
        """Keep a report's second line: how many deleted rows stay, in whatever language."""
        if found := re.match(r"\D*(\d+)", diagnostic.message_detail or ""):
            reports.append(found[1])

    with told(database.path), database.borrowed() as borrowed:
        borrowed.add_notice_handler(note)
        try:
            borrowed.execute(f"VACUUM (FULL, VERBOSE) {table}")
        finally:
            borrowed.remove_notice_handler(note)
    if not reports:
        raise StoreError(f"{database.path}: only the role that owns the tables may write them anew")
    return int(reports[0])
