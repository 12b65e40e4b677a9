"""Opening what an address leads to: a file of SQLite's, or a schema of Postgres, whose packages are an extra."""

from pathlib import Path
from typing import TYPE_CHECKING

from personaplug.errors import ConfigError, MissingExtraError
from personaplug.store.address import Address
from personaplug.store.base import StoreLayout
from personaplug.store.sqlite_tables import SqliteTables
from personaplug.store.tables import Tables

if TYPE_CHECKING:
    from personaplug.store.postgres.tables import PostgresTables


def open_tables(address: Address, layout: StoreLayout | None) -> Tables:
    """Open a store's tables, made first if there are none and a layout is given.

    Raises:
        StoreError: There are none, or the database cannot be opened.
        MissingExtraError: They are in Postgres, and psycopg is not installed.
    """
    if isinstance(address, Path):
        return SqliteTables.open(address, layout)
    return _postgres().open(address, layout)


def is_taken(address: Address) -> bool:
    """Tell whether there is a store, or something else that stands in its place."""
    return address.exists() if isinstance(address, Path) else _postgres().is_taken(address)


def admit(address: Address, role: str, *, tenant: str) -> None:
    """Let a role of Postgres read and write the users of one tenant: see :mod:`personaplug.store.postgres.tenants`.

    Raises:
        ConfigError: The store is a file, or the tenant's name is none.
        StoreError: There is no store or no role, or one may not do this.
    """
    if isinstance(address, Path):
        raise ConfigError(f"{address} is a file, which has no roles", hint="a store in Postgres has: postgresql://...")
    _postgres().admit(address, role, tenant=tenant)


def _postgres() -> type["PostgresTables"]:
    try:
        from personaplug.store.postgres.tables import PostgresTables
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("psycopg"):
            raise
        raise MissingExtraError("a store in Postgres", extra="postgres") from error
    return PostgresTables
