"""Whether the store answers, asked apart from those who work with it: an answer or a forget may take them long."""

import asyncio

from personaplug.store.persona_store import PersonaStore
from personaplug.worker import Worker


class StoreWatch:
    """Asks the store one thing at a time, however many want to know. It belongs to one event loop.

    Args:
        stores: Has the open store, and a thread for this alone.
        seconds: How long an answer may take.
    """

    def __init__(self, stores: Worker[PersonaStore], *, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self._stores = stores
        self._asked: asyncio.Future[bool] | None = None

    async def is_answering(self) -> bool:
        """Say whether the store answers; one that takes too long does not."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.ensure_future(self._stores.do(lambda store: store.is_reachable))
        done, _ = await asyncio.wait([self._asked], timeout=self.seconds)
        return bool(done) and self._asked.result()
