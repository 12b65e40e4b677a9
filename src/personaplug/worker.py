"""A thread that owns what only one thread may touch."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Worker(Generic[T]):
    """Opens something in its own thread, does jobs with it one after the other, and closes it there.

    An open store is such a thing, and models are, which compute best one batch at a time.

    Args:
        opening: Opens the thing for as long as it is asked.
        name: Of the thread.
    """

    def __init__(self, opening: Callable[[], AbstractContextManager[T]], *, name: str) -> None:
        self._opening = opening
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._stack = ExitStack()

    def open(self) -> T:
        """Open the thing and wait until that is done; whatever goes wrong is raised here, and leaves no thread.

        Returns:
            The thing, for what of it any thread may look at.
        """
        try:
            self._held = self._pool.submit(lambda: self._stack.enter_context(self._opening())).result()
        except BaseException:
            self._pool.shutdown()
            raise
        return self._held

    def close(self) -> None:
        """Do what was asked for before, then close the thing."""
        self._pool.submit(self._stack.close).result()
        self._pool.shutdown()

    def submit(self, job: Callable[[T], R]) -> "Future[R]":
        """Have a job done, after those asked for before."""
        return self._pool.submit(lambda: job(self._held))

    async def do(self, job: Callable[[T], R]) -> R:
        """Have a job done and wait for it without blocking the event loop."""
        return await asyncio.wrap_future(self.submit(job))
