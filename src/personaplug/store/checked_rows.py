"""What is checked of rows wherever they come from: a value that no store has ever held is damage, with a way out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from personaplug.errors import StoreError
from personaplug.store.address import Address
from personaplug.store.tables import Value


class CheckedRows(ABC):
    """A database of which a value is asked for by its type.

    Attributes:
        path: Where it is.
        damaged: What is wrong with one that holds what no store has ever held, in words, and what to do.
    """

    path: Address
    damaged: ClassVar[tuple[str, str]]

    @abstractmethod
    def rows(self, statement: str, *values: object) -> list[Any]:
        """Run a statement and fetch all its rows."""

    def value(self, kind: type[Value], statement: str, *values: object) -> Value:
        """Run a statement that gives one value.

        Raises:
            StoreError: It gives none, or one of another type than ``kind``.
        """
        match self.rows(statement, *values):
            case [(value,)] if type(value) is kind:
                return value
        raise self.damage()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Take values that no store has ever held, where rows become objects, for what they are: damage.

        Raises:
            StoreError: In place of the error that such a value leads to.
        """
        try:
            yield
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise self.damage() from error

    def damage(self) -> StoreError:
        """Make the error for tables that hold what no store has ever held."""
        reason, hint = self.damaged
        return StoreError(f"{self.path}: {reason}", hint=hint)
