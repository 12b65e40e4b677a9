"""One open SQLite file: statements, transactions, and failures told in words a person can act on."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from personaplug.errors import StoreError
from personaplug.store.checked_rows import CheckedRows

BUSY_SECONDS = 30.0

DAMAGED = "the store file is damaged"
RESTORE = "put a backup in its place, or index the log again: personaplug index LOG --task TASK --store NEW_FILE"

REASONS = {
    "SQLITE_NOTADB": ("not a persona store", "check the path; personaplug index makes a store from a log"),
    "SQLITE_CORRUPT": (DAMAGED, RESTORE),
    "SQLITE_ERROR": (DAMAGED, RESTORE),  # the statements are ours: it is the tables that are not
    "SQLITE_FULL": ("the disk is full; this change was not stored", "free some space and repeat"),
    "SQLITE_IOERR": (
        "the disk could not be read or written; this change was not stored",
        "check the disk and its quota",
    ),
    "SQLITE_READONLY": ("the store may only be read", "check the owner and the permissions of the file and its folder"),
    "SQLITE_CANTOPEN": ("the store cannot be opened", "check that its folder is there and may be written"),
    "SQLITE_BUSY": ("another process is using the store", "repeat when it is done"),
}


class Database(CheckedRows):
    """A connection to one file, for one thread; transactions begin and end only where :meth:`transaction` says.

    Args:
        path: The file; made where it is absent.
    """

    path: Path
    damaged = DAMAGED, RESTORE

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._told():
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        self.rows("PRAGMA secure_delete = ON")
        self.rows("PRAGMA synchronous = NORMAL")

    @property
    def is_on_disk(self) -> bool:
        """Whether there is a file."""
        return str(self.path) != ":memory:"

    def close(self) -> None:
        """Close the file."""
        with self._told():
            self._connection.close()

    def is_reachable(self) -> bool:
        """Say that it answers: a file is always here."""
        return True

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Run a statement and fetch all its rows, so that none is left open and holds up other processes."""
        with self._told():
            return self._connection.execute(statement, values).fetchall()

    def stream(self, statement: str, **functions: Any) -> Iterator[Any]:  # noqa: ANN401 (SQL functions of one argument)
        """Iterate over a statement's rows; it may call these Python functions. For use inside a transaction."""
        for name, function in functions.items():
            self._connection.create_function(name, 1, function, deterministic=True)
        with self._told():
            yield from self._connection.execute(statement)

    def change(self, statement: str, rows: Iterable[tuple[object, ...]]) -> int:
        """Run a statement once for each row of values; count the rows that it wrote or removed."""
        with self._told():
            return self._connection.executemany(statement, rows).rowcount

    def change_all(self, *changes: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        """Change as :meth:`change` does, one after the other."""
        for statement, rows in changes:
            self.change(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all inside, after other writers, or, on any error, none of it; an inner one is part of the outer."""
        if self._connection.in_transaction:
            yield
            return
        with self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
            # Longer names are special cases of shorter ones: SQLITE_BUSY_SNAPSHOT, SQLITE_IOERR_WRITE. Without a name
            # the error is Python's own, of a value that it cannot read; its message would quote a user's text.
            name = "_".join(getattr(error, "sqlite_errorname", "SQLITE_CORRUPT").split("_")[:2])
            reason, hint = REASONS.get(name, (str(error), RESTORE))
            raise StoreError(f"{self.path}: {reason}", hint=hint) from error
        except UnicodeEncodeError as error:
            reason = "a text or an id holds half a character (a lone surrogate)"
            raise StoreError(f"{self.path}: {reason}", hint="mend the log, or leave the row out") from error
