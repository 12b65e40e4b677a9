"""What a store asks of the database that holds its tables; SQLite's file and Postgres each answer in their way.

Statements are written once for both, with ``?`` for a value; ``user`` is a word of SQL's, so the column is ``"user"``.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from personaplug.errors import StoreError
from personaplug.store.address import Address
from personaplug.store.base import StoreLayout

Value = TypeVar("Value")

VALUES_AT_ONCE = 500
"""Values in one statement, at most."""


@runtime_checkable
class Tables(Protocol):
    """An open database with a store's tables."""

    @property
    def path(self) -> Address:
        """Where it is."""

    def close(self) -> None:
        """Close it."""

    def is_reachable(self) -> bool:
        """Say whether the database answers."""

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Run a statement and fetch all its rows."""

    def value(self, kind: type[Value], statement: str, *values: object) -> Value:
        """Run a statement that gives one value; anything but one of this kind is damage."""

    def change(self, statement: str, rows: Iterable[tuple[object, ...]]) -> int:
        """Run a statement once for each row of values; count the rows that it wrote or removed."""

    def change_all(self, *changes: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        """Change as :meth:`change` does, one after the other; a server is asked once for them all."""

    def transaction(self) -> AbstractContextManager[None]:
        """Do all inside, after other writers, or, on any error, none of it; an inner one is part of the outer."""

    def held(self) -> AbstractContextManager[None]:
        """Read inside what stood there at one moment; no two are held at once."""

    def reading(self) -> AbstractContextManager[None]:
        """Take errors of values that no store has ever held for damage."""

    def damage(self) -> StoreError:
        """Make the error for what no store has ever held."""

    def layout(self) -> StoreLayout:
        """Read what the store's vectors are made of; an error where there is no store, or one of another version."""

    def meta(self, kind: type[Value], key: str) -> Value:
        """Read one thing that a store says of itself; where it does not say it, that is damage."""

    def order_of_items(self) -> str:
        """Write the order of a user's items."""

    def believed(self) -> str:
        """Write the condition on an item whose vectors may stand for equal texts of other users."""

    def bring_up_to_date(self) -> None:
        """Give a store of an older version what it lacks; for use inside a transaction."""

    def add_user(self, user_id: str) -> None:
        """Make a key for a user who has none; for use inside a transaction."""

    def users_by_hash(self) -> Iterator[tuple[str, int]]:
        """Iterate over users and their keys by the hash of the id; for use inside :meth:`held`."""

    def wipe(self) -> None:
        """Write the tables anew, so that nothing is left of deleted rows.

        Raises:
            StoreError: Something kept it from being done.
        """

    def own_files(self) -> set[Path]:
        """Name what of this machine's disk is the store's alone."""

    def bank_folders(self) -> set[Path]:
        """Name the folders in which the store's own snapshot may be, whoever made it."""

    def bank_folder(self) -> Path:
        """Name the folder in which the store's own snapshot is made."""

    def ways_to(self, folder: Path) -> set[str]:
        """Write how to find a snapshot again, whose absolute path is given."""

    def folder_at(self, way: str) -> Path | None:
        """Follow such a way; None where it is another machine's."""


def parts(values: list[Any]) -> Iterator[list[Any]]:
    """Cut values into lists that one statement takes."""
    for start in range(0, len(values), VALUES_AT_ONCE):
        yield values[start : start + VALUES_AT_ONCE]


def marks(values: list[Any]) -> str:
    """Write a question mark a value."""
    return ", ".join("?" * len(values))
