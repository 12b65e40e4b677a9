"""The file that the store is: where another stands in its place, nothing that is written reaches the disk's name."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from personaplug.errors import StoreError
from personaplug.store.address import Address
from personaplug.worker import Worker

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


class ReplacedStoreError(StoreError):
    """A store whose file was replaced, moved or deleted while it was open."""


class StoreFile:
    """Knows a file again, by its device and inode.

    Args:
        path: The file, which is there; a store in Postgres is none, and is always itself.

    Raises:
        StoreError: It is not.
    """

    def __init__(self, path: Address) -> None:
        self.path = path
        self._first = self._stamp()
        self._is_told = False

    @property
    def is_there(self) -> bool:
        """Whether the path still leads to the file."""
        return self._first is None or self._stamp() == self._first

    def check(self) -> None:
        """Refuse to go on with a file that others no longer see.

        Raises:
            ReplacedStoreError: It is one.
        """
        if self.is_there:
            return
        if not self._is_told:
            self._is_told = True
            log.error("%s was replaced or deleted while it was open: restart this server", self.path)
        raise ReplacedStoreError(f"{self.path} was replaced or deleted while it was open", hint="restart this server")

    def _stamp(self) -> tuple[int, int] | None:
        if not isinstance(self.path, Path):
            return None
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


class StoreWorker(Worker[T]):
    """Does jobs with what is open of a store, and none with a file that others no longer see.

    Args:
        opening: As for :class:`Worker`.
        name: Of the thread.
        file: The store's.
    """

    def __init__(self, opening: Callable[[], AbstractContextManager[T]], *, name: str, file: StoreFile) -> None:
        super().__init__(opening, name=name)
        self.file = file

    def submit(self, job: Callable[[T], R]) -> "Future[R]":
        """Have a job done, after those asked for before; it fails where the file was replaced before its end."""

        def guarded(held: T) -> R:
            self.file.check()
            done = job(held)
            self.file.check()
            return done

        return super().submit(guarded)
