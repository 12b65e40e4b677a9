"""The tables of a store in Postgres, made in steps: a store's version is how many of them it has had.

They are those of :mod:`personaplug.store.schema`, with what Postgres asks for. Texts stand in the order of their bytes,
and each user has the hash by which a snapshot is sorted. No column has statistics: what ANALYZE samples are rows'
values, which would outlive a forget in ``pg_statistic``.
"""

from personaplug.errors import StoreError
from personaplug.store.base import StoreLayout
from personaplug.store.meta import first_meta
from personaplug.store.postgres.connection import PostgresDatabase
from personaplug.store.postgres.failures import NOT_ALLOWED
from personaplug.store.postgres.tenants import NARROWER, POLICIES
from personaplug.store.schema import APPLICATION_ID, hash_of

FIRST_VERSION = 1  # without tenants; still read, and brought up to date by the owner's first append
SCHEMA_VERSION = 3

_COLUMNS = {
    "users": ("key", "user_id", "hash"),
    "items": ("user", "time", "id", "place", "content", "hashes", "vectors", "input", "output"),
}
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BIGINT NOT NULL);
CREATE TABLE words (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE snapshots (folder TEXT COLLATE "C" PRIMARY KEY);
CREATE TABLE users (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL UNIQUE,
    hash BYTEA NOT NULL UNIQUE
);
CREATE TABLE items (
    "user" BIGINT NOT NULL,
    time BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    place BIGINT NOT NULL,
    content BYTEA NOT NULL,
    hashes BYTEA NOT NULL,
    vectors BYTEA NOT NULL,
    input TEXT NOT NULL,
    output TEXT NOT NULL,
    PRIMARY KEY ("user", id)
) WITH (toast_tuple_target = 8160);
CREATE INDEX items_by_time ON items ("user", time);
ALTER TABLE items ALTER COLUMN vectors SET STORAGE EXTERNAL;
"""


def create(database: PostgresDatabase, layout: StoreLayout) -> None:
    """Make the schema and the tables of an empty store in one step; what another was faster to make stays.

    Raises:
        StoreError: The database holds no Unicode, or this role may make no schema in it.
    """
    schema = database.path.schema
    if (encoding := database.value(str, "SHOW server_encoding")) != "UTF8":
        hint = "make one: createdb --encoding UTF8 --template template0 NAME"
        raise StoreError(f"{database.path}: the database is in {encoding}, not in UTF8", hint=hint)
    with database.begun("BEGIN"):
        database.rows("SELECT pg_advisory_xact_lock(hashtext(?))", f"personaplug {schema}")
        if is_there(database):
            return
        database.rows(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        for statement in (*_statements(_TABLES), *_indexes(layout), *_without_statistics(layout)):
            database.rows(statement)
        first = [("application", APPLICATION_ID), ("schema", FIRST_VERSION), *first_meta(layout)]
        database.change("INSERT INTO meta VALUES (?, ?)", [each for each in first if isinstance(each[1], int)])
        database.change("INSERT INTO words VALUES (?, ?)", [each for each in first if isinstance(each[1], str)])
        bring_up_to_date(database)


def is_there(database: PostgresDatabase) -> bool:
    """Tell whether the schema holds something of a store's."""
    # Not by to_regclass: what a connection remembers of names may be older than the lock that it has just waited for.
    query = "SELECT count(*) FROM pg_tables WHERE schemaname = ? AND tablename = 'meta'"
    return database.value(int, query, database.path.schema) > 0


def bring_up_to_date(database: PostgresDatabase) -> None:
    """Give a store of an older version the steps that it lacks, inside a transaction; only its owner may, and does."""
    if not database.value(bool, "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'users'::regclass"):
        return
    for version in range(version_of(database), SCHEMA_VERSION):
        for statement in _STEPS[version]:
            database.rows(statement)
        database.rows("UPDATE meta SET value = ? WHERE key = 'schema'", version + 1)


def version_of(database: PostgresDatabase) -> int:
    """Read which version a store is of."""
    return database.meta(int, "schema")


def check_version(database: PostgresDatabase) -> None:
    """Refuse a schema that holds no store, or one of another version, or that this role may not look into.

    Raises:
        StoreError: The schema holds no store, or one of another version.
    """
    if not database.value(bool, "SELECT has_schema_privilege(?, 'USAGE')", database.path.schema):
        raise StoreError(f"{database.path}: {NOT_ALLOWED[0]}", hint=NOT_ALLOWED[1])
    if database.value(int, "SELECT count(*) FROM meta WHERE key = 'application' AND value = ?", APPLICATION_ID) != 1:
        raise StoreError(
            f"{database.path}: the schema holds tables, but not a persona store's",
            hint="name another with ?schema=NAME; personaplug index makes a store from a log",
        )
    version = version_of(database)
    if not FIRST_VERSION <= version <= SCHEMA_VERSION:
        raise StoreError(
            f"{database.path}: a store of schema version {version}; this personaplug reads versions "
            f"{FIRST_VERSION} to {SCHEMA_VERSION}",
            hint="copy it into a new one with the version that reads it: personaplug store copy FROM TO",
        )


def _statements(script: str) -> list[str]:
    return [statement for statement in script.split(";") if statement.strip()]


_STEPS = {1: _statements(POLICIES), 2: NARROWER}
"""From each version to the next. Replicas of the version before read and write on meanwhile."""


def _indexes(layout: StoreLayout) -> list[str]:
    return [f"CREATE INDEX items_by_text_{view} ON items ({hash_of(view)})" for view in range(len(layout.views))]


def _without_statistics(layout: StoreLayout) -> list[str]:
    columns = [f'ALTER TABLE {table} ALTER COLUMN "{name}"' for table, names in _COLUMNS.items() for name in names]
    indexes = [f"ALTER INDEX items_by_text_{view} ALTER COLUMN 1" for view in range(len(layout.views))]
    return [f"{each} SET STATISTICS 0" for each in (*columns, *indexes)]
