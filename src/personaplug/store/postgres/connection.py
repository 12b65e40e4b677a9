"""One open Postgres database: statements, transactions, connections out of a pool."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import lru_cache
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Format
from psycopg_pool import ConnectionPool

from personaplug.errors import StoreError
from personaplug.store.address import PostgresUrl
from personaplug.store.checked_rows import CheckedRows
from personaplug.store.postgres.failures import DAMAGED, RESTORE, is_lost, not_connected, told
from personaplug.store.postgres.text import adapt_texts
from personaplug.store.tables import Value

Result = TypeVar("Result")

BUSY_SECONDS = 30.0
CONNECTIONS = 8
"""Most connections that one open store has."""

ROWS_A_PAGE = 1000

_CONNECT_SECONDS = 10
_RETRY_SECONDS = 2.0
"""For how long the pool itself tries to connect again; after that whoever asks for a connection begins anew.

Its pauses double: left to itself it would find a server that was away for minutes only minutes after that is back.
"""
_LOST_LINES = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # ms
}
"""When a line counts as lost, at both of its ends: a machine that is gone closes no connection, and the system's own
defaults wait for it for minutes, or hours. The server would meanwhile let its unfinished append lock out all others.

Where words were on the way to it no keepalive is sent; then the last of them counts.
"""
_SETTINGS = {
    "enable_seqscan": "off",  # the columns have no statistics (see schema.py), by which the planner would choose
    "jit": "off",
    **{f"tcp_{name.removeprefix('tcp_')}": str(limit) for name, limit in _LOST_LINES.items()},  # as Postgres names them
}


class PostgresDatabase(CheckedRows):
    """The tables of one schema; any thread may use it, a transaction is the thread's that began it.

    Args:
        url: Where it is.

    Raises:
        StoreError: The server cannot be reached, or refuses.
    """

    path: PostgresUrl
    damaged = DAMAGED, RESTORE

    def __init__(self, url: PostgresUrl) -> None:
        self.path = url
        self._local = threading.local()
        try:
            psycopg.connect(url.conninfo, connect_timeout=_CONNECT_SECONDS).close()  # a pool would say why in its log
        except psycopg.Error as error:
            raise not_connected(url, error) from None
        self._pool = ConnectionPool(
            url.conninfo,
            kwargs=_options(url),
            min_size=1,
            max_size=CONNECTIONS,
            timeout=_CONNECT_SECONDS,
            reconnect_timeout=_RETRY_SECONDS,
            num_workers=1,
            configure=self._configure,
            open=True,
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def is_reachable(self) -> bool:
        """Say whether the server answers."""
        try:
            self.rows("SELECT 1")
        except StoreError:
            return False
        return True

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Run a statement and fetch all its rows."""
        with told(self.path):
            return self._done(lambda connection: _fetched(connection, statement, values))

    def meta(self, kind: type[Value], key: str) -> Value:
        """Read one thing that the store says of itself: a number, or words."""
        return self.value(kind, f"SELECT value FROM {'meta' if kind is int else 'words'} WHERE key = ?", key)

    def change(self, statement: str, rows: Iterable[tuple[object, ...]]) -> int:
        """Run a statement once for each row of values; count the rows that it wrote or removed."""
        given = list(rows)

        def run(connection: Connection[Any]) -> int:
            with connection.cursor() as cursor:
                cursor.executemany(_in_postgres(statement), given)
                return max(0, cursor.rowcount)

        with told(self.path):
            return self._done(run)

    def change_all(self, *changes: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        """Change as :meth:`change` does, one after the other, in one trip; for use inside a transaction."""
        assert self._held is not None, "several changes are one inside a transaction alone"
        with told(self.path), self._held.pipeline(), self._held.cursor() as cursor:
            for statement, rows in changes:
                cursor.executemany(_in_postgres(statement), rows)

    def stream(self, statement: str) -> Iterator[Any]:
        """Iterate over a statement's rows, a page at a time. For use inside a transaction."""
        assert self._held is not None, "a stream is read inside a transaction"
        with told(self.path), self._held.cursor("stream", scrollable=False) as cursor:
            cursor.itersize, cursor.format = ROWS_A_PAGE, Format.BINARY
            yield from cursor.execute(_in_postgres(statement))

    def transaction(self) -> AbstractContextManager[None]:
        """Do all inside, after other writers, or, on any error, none of it; an inner one is part of the outer."""
        return self.begun("BEGIN", "SELECT value FROM meta WHERE key = 'version' FOR UPDATE")

    def held(self) -> AbstractContextManager[None]:
        """Read inside what stood there at one moment, while others write; no two are held at once."""
        # A lock before the first query: the moment comes once it is held.
        return self.begun("BEGIN ISOLATION LEVEL REPEATABLE READ", "LOCK TABLE snapshots IN EXCLUSIVE MODE")

    @contextmanager
    def borrowed(self) -> Iterator[Connection[Any]]:
        """Give the connection of this thread's transaction, else one of the pool's."""
        if self._held is not None:
            yield self._held
        else:
            with self._pool.connection() as connection:
                yield connection

    @contextmanager
    def begun(self, *opening: str) -> Iterator[None]:
        """Begin a transaction by these statements; commit it in the end, or on any error undo it.

        Inside another of this thread's nothing is begun: it is part of that.
        """
        if self._held is not None:
            yield
            return
        with told(self.path), ExitStack() as stack:
            connection = self._again(lambda: self._opened(stack, opening))
            self._local.connection = connection
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                with suppress(psycopg.Error):
                    connection.rollback()
                raise
            finally:
                self._local.connection = None

    @property
    def _held(self) -> Connection[Any] | None:
        held: Connection[Any] | None = getattr(self._local, "connection", None)
        return held

    def _opened(self, stack: ExitStack, opening: tuple[str, ...]) -> Connection[Any]:
        with ExitStack() as opened:
            connection = opened.enter_context(self._pool.connection())
            connection.execute(_in_postgres("; ".join(opening)), prepare=False)  # one trip; no such pair is prepared
            stack.push(opened.pop_all())
            return connection

    def _done(self, work: Callable[[Connection[Any]], Result]) -> Result:
        def once() -> Result:
            with self.borrowed() as connection:
                return work(connection)

        return once() if self._held is not None else self._again(once)

    def _again(self, work: Callable[[], Result]) -> Result:
        """Do some work; where a connection that was idle is lost, once more on another: nothing was begun on it."""
        try:
            return work()
        except psycopg.OperationalError as error:
            if not is_lost(error):
                raise
        self._pool.check()
        return work()

    def _configure(self, connection: Connection[Any]) -> None:
        adapt_texts(connection)
        own = {"search_path": f'"{self.path.schema}"', "lock_timeout": f"{1000 * BUSY_SECONDS:.0f}ms"}
        connection.cursor().executemany("SELECT set_config(%s, %s, false)", list({**own, **_SETTINGS}.items()))


def _options(url: PostgresUrl) -> dict[str, Any]:
    """Write what each connection is opened with beside the address, whose own word counts on what is in both."""
    own = {"autocommit": True, "client_encoding": "utf8", "application_name": "personaplug"}
    return {"connect_timeout": _CONNECT_SECONDS, **_LOST_LINES, **conninfo_to_dict(url.conninfo), **own}


def _fetched(connection: Connection[Any], statement: str, values: tuple[object, ...]) -> list[Any]:
    cursor = connection.execute(_in_postgres(statement), values, binary=True)
    return cursor.fetchall() if cursor.description else []


@lru_cache(maxsize=512)
def _in_postgres(statement: str) -> LiteralString:
    """Write psycopg's mark for a value; no statement of ours has another question mark, or a percent sign."""
    return statement.replace("?", "%s")
