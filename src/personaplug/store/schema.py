"""The tables of a store file, and what it says of itself."""

import logging
import os
import secrets
from pathlib import Path
from stat import S_IROTH, S_ISREG, S_IWOTH

from personaplug.errors import StoreError
from personaplug.store.base import HASH_SIZE, VECTOR_TYPE, StoreLayout
from personaplug.store.database import Database
from personaplug.store.meta import first_meta

log = logging.getLogger(__name__)

APPLICATION_ID = 0x50504C47  # "PPLG": tells a store from any other SQLite file
SCHEMA_VERSION = 2
FIRST_VERSION = 1  # without `place`; still read, and brought up to date by the first append

# Items lie in the file by user, then time, so that one user's fetch is one run of pages; a large page holds whole rows.
# Texts stand last: a fetch of vectors stops reading before them. `user` is a number since it stands in every key.
SETTINGS = "PRAGMA page_size = 32768; PRAGMA journal_mode = WAL"
TABLES = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshots (folder TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE users (key INTEGER PRIMARY KEY, user_id TEXT NOT NULL UNIQUE);
CREATE TABLE items (
    user INTEGER NOT NULL,
    time INTEGER NOT NULL, -- microseconds since 1970, UTC
    id TEXT NOT NULL,
    place INTEGER NOT NULL, -- among items of one moment: the order in which they were appended
    content BLOB NOT NULL, -- hash of time, input and output
    hashes BLOB NOT NULL, -- of the view texts, one after the other
    vectors BLOB NOT NULL, -- float16, little-endian, [views, dim]
    input TEXT NOT NULL,
    output TEXT NOT NULL,
    PRIMARY KEY (user, time, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX items_by_id ON items (user, id);
"""


def create(path: Path, layout: StoreLayout) -> None:
    """Make an empty store at ``path`` in one step, its owner's alone; what another process was faster to make stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600, exist_ok=False)  # SQLite gives its -wal and -shm the mode of the file
    database = Database(draft)
    try:
        lay_out(database, layout)
        database.close()
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        database.close()
        draft.unlink(missing_ok=True)


def warn_of_readers(path: Path) -> None:
    """Log a warning if all users of the machine may read a file of ours; its mode stays, as somebody may want it."""
    found = path.stat()
    if S_ISREG(found.st_mode) and found.st_mode & (S_IROTH | S_IWOTH) and found.st_uid == os.geteuid():
        log.warning("%s: every user of this machine may read it; to change that: chmod o= %s*", path, path)


def lay_out(database: Database, layout: StoreLayout) -> None:
    """Make the tables in an empty database."""
    for setting in SETTINGS.split(";"):
        database.rows(setting)
    with database.transaction():
        for statement in TABLES.split(";"):
            database.rows(statement)
        for view in range(len(layout.views)):
            database.rows(f"CREATE INDEX items_by_text_{view} ON items ({hash_of(view)})")
        database.change("INSERT INTO meta VALUES (?, ?)", first_meta(layout))


def bring_up_to_date(database: Database) -> None:
    """Give a store of the first version what it lacks; items that it holds keep their order, and come before new ones.

    For use inside a transaction.

    Raises:
        StoreError: A newer personaplug has brought the store up to a version that this one does not know.
    """
    if _known_version(database) == FIRST_VERSION:
        database.rows("ALTER TABLE items ADD COLUMN place INTEGER NOT NULL DEFAULT 0")
        database.rows("INSERT INTO meta VALUES ('placed', 0)")
        database.rows(f"PRAGMA user_version = {SCHEMA_VERSION}")


def order_of_items(database: Database) -> str:
    """Write the order of a user's items: oldest first, those of one moment as appended, in old stores by id."""
    return "time, id" if _version(database) == FIRST_VERSION else "time, place, id"


def hash_of(view: int) -> str:
    """Write the expression for one view's hash, word for word as the index has it."""
    return f"substr(hashes, {1 + view * HASH_SIZE}, {HASH_SIZE})"


def vector_of(view: int, dim: int) -> str:
    """Write the expression for one view's vector."""
    size = dim * VECTOR_TYPE.itemsize
    return f"substr(vectors, {1 + view * size}, {size})"


def check_version(database: Database) -> None:
    """Refuse a file that is no store, or one of another schema version.

    Raises:
        StoreError: The file is no store, or one of another schema version.
    """
    application = database.value(int, "PRAGMA application_id")
    if application != APPLICATION_ID:
        raise StoreError(
            f"{database.path}: an SQLite file, but not a persona store",
            hint="check the path; personaplug index makes a store from a log",
        )
    _known_version(database)


def _known_version(database: Database) -> int:
    schema = _version(database)
    if schema not in (FIRST_VERSION, SCHEMA_VERSION):
        raise StoreError(
            f"{database.path}: a store of schema version {schema}; this personaplug reads versions "
            f"{FIRST_VERSION} and {SCHEMA_VERSION}",
            hint="install the personaplug that wrote it, or index the log again into a new store: "
            "personaplug index LOG --task TASK --store NEW_FILE",
        )
    return schema


def _version(database: Database) -> int:
    return database.value(int, "PRAGMA user_version")
