"""Where a store is: a file, or a schema in a Postgres database. An address is shown and kept without its password."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from personaplug.errors import ConfigError

SCHEMA = "personaplug"

_SCHEMES = ("postgresql://", "postgres://")
_FORM = re.compile(
    r"postgres(?:ql)?://(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^:@/?#]*))?@)?"
    r"(?P<hosts>(?:[\w.%-]+|\[[0-9a-fA-F:.]+\])?(?::\d+)?(?:,(?:[\w.%-]+|\[[0-9a-fA-F:.]+\])(?::\d+)?)*)"
    r"(?:/(?P<database>[^/?#@]*))?(?:\?(?P<query>[^#]*))?"
)
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SECRET = re.compile(r"pass(?!file)|secret", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """The address of a store in Postgres; written as text it has no password.

    Attributes:
        conninfo: What libpq connects with, password and all.
        schema: The schema that holds the store's tables.
        shown: The address without secrets. It leads to the store where libpq finds the password elsewhere
            (``PGPASSWORD``, ``~/.pgpass``).
    """

    conninfo: str = field(repr=False)
    schema: str
    shown: str

    @classmethod
    def read(cls, text: str) -> "PostgresUrl":
        """Read ``postgresql://[user[:password]@][host][:port][/database][?option=value]``, as libpq does.

        One option is ours: ``schema``, by default :data:`SCHEMA`.

        Raises:
            ConfigError: It is none; its text is not quoted, as a password may stand in it.
        """
        form = _FORM.fullmatch(text)
        if form is None:
            raise ConfigError(
                "the store's address is no postgresql:// address that can be read",
                hint="postgresql://user@host:5432/database; in a password write / @ : ? # as %2F %40 %3A %3F %23, "
                "or set PGPASSWORD",
            )
        options = [part for part in (form["query"] or "").split("&") if part]
        schema = next((part.partition("=")[2] for part in options if _key(part) == "schema"), SCHEMA)
        if not _NAME.fullmatch(schema):
            raise ConfigError(
                f"the schema {schema!r} in the store's address is no name",
                hint="begin with a-z or _, then a-z, 0-9 and _; 63 at most",
            )
        libpq = [part for part in options if _key(part) != "schema"]
        public = [part for part in options if not _SECRET.search(_key(part))]
        user = f"{form['user']}@" if form["user"] else ""
        place = f"{form['hosts']}/{form['database'] or ''}"
        shown = _with_query(f"postgresql://{user}{place}", public)
        return cls(_with_query(text.partition("?")[0], libpq), schema, shown)

    @property
    def name(self) -> str:
        """A short name for a page: the database and the schema."""
        return f"{urlsplit(self.shown).path.strip('/') or 'postgres'}.{self.schema}"

    def __str__(self) -> str:
        return self.shown


Address = Path | PostgresUrl


def store_address(text: Path | str | PostgresUrl) -> Address:
    """Read where a store is: ``postgresql://...`` is a database, all else a file.

    Raises:
        ConfigError: It begins like an address of a database and is none.
    """
    if isinstance(text, str) and text.startswith(_SCHEMES):
        return PostgresUrl.read(text)
    return Path(text) if isinstance(text, str) else text


def _key(option: str) -> str:
    return unquote(option.partition("=")[0])


def _with_query(place: str, options: list[str]) -> str:
    return "?".join([place, *(["&".join(options)] if options else [])])
