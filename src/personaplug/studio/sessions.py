"""Where visitors' wishes come in: one after the other, in the one thread that owns the plug and its stores."""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Self, TypeVar

from personaplug.studio.session import Session
from personaplug.studio.studio import Studio
from personaplug.worker import Worker

T = TypeVar("T")


class Sessions(AbstractContextManager["Sessions"]):
    """Open a studio in a thread of its own, since an SQLite connection belongs to the thread that made it.

    Args:
        opening: Loads the studio when it is entered, and closes it.
        capacity: Visitors remembered; whoever was here longest ago begins anew.
    """

    def __init__(self, opening: AbstractContextManager[Studio], *, capacity: int = 64) -> None:
        self.capacity = capacity
        self._worker = Worker(lambda: opening, name="studio")
        self._sessions: OrderedDict[str, Session] = OrderedDict()

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

    def at(self, visitor: str, step: Callable[[Session], T]) -> T:
        """Do one step of a visitor's session, which begins with the first."""
        return self._worker.submit(lambda studio: step(self._session(visitor, studio))).result()

    def visitors(self) -> list[str]:
        """Name those who are remembered, whoever was here longest ago first."""
        return self._worker.submit(lambda _: list(self._sessions)).result()

    def leave(self, visitor: str) -> None:
        """End a session: what was pasted is gone."""
        self._worker.submit(lambda _: self._end(visitor)).result()

    def _session(self, visitor: str, studio: Studio) -> Session:
        if visitor not in self._sessions:
            self._sessions[visitor] = Session(studio)
        self._sessions.move_to_end(visitor)
        while len(self._sessions) > self.capacity:
            self._end(next(iter(self._sessions)))
        return self._sessions[visitor]

    def _end(self, visitor: str) -> None:
        if session := self._sessions.pop(visitor, None):
            session.close()
