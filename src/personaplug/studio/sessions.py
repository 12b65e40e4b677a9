"""Where visitors' wishes come in: one after the other, in the one thread that owns the plug and its stores."""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Self, TypeVar

from personaplug.studio.session import Visit
from personaplug.studio.studio import Studio
from personaplug.worker import Worker

T = TypeVar("T")


class Desk(AbstractContextManager["Desk"]):
    """Open a studio in a thread of its own, since an SQLite connection belongs to the thread that made it.

    Args:
        opening: Loads the studio when it is entered, and closes it.
        capacity: Visitors remembered; whoever was here longest ago begins anew.
    """

    def __init__(self, opening: AbstractContextManager[Studio], *, capacity: int = 64) -> None:
        self.capacity = capacity
        self._worker = Worker(lambda: opening, name="studio")
        self._visits: OrderedDict[str, Visit] = OrderedDict()

    def __enter__(self) -> Self:
        self._worker.open()
        return self

    def __exit__(self, *error: object) -> None:
        for visitor in self.visitors():
            self.leave(visitor)
        self._worker.close()

    def ask(self, question: Callable[[Studio], T]) -> T:
        """Ask the studio something that concerns no visitor."""
        return self._worker.submit(question).result()

    def at(self, visitor: str, step: Callable[[Visit], T]) -> T:
        """Do one step of a visitor's visit, which begins with the first."""
        return self._worker.submit(lambda studio: step(self._visit(visitor, studio))).result()

    def visitors(self) -> list[str]:
        """Name those who are remembered, whoever was here longest ago first."""
        return self._worker.submit(lambda _: list(self._visits)).result()

    def leave(self, visitor: str) -> None:
        """End a visit: what was pasted is gone."""
        self._worker.submit(lambda _: self._end(visitor)).result()

    def _visit(self, visitor: str, studio: Studio) -> Visit:
        if visitor not in self._visits:
            self._visits[visitor] = Visit(studio)
        self._visits.move_to_end(visitor)
        while len(self._visits) > self.capacity:
            self._end(next(iter(self._visits)))
        return self._visits[visitor]

    def _end(self, visitor: str) -> None:
        if visit := self._visits.pop(visitor, None):
            visit.close()
