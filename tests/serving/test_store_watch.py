"""Who asks whether the store answers."""

import asyncio
import threading
from contextlib import nullcontext

from personaplug.serving.engine.store_watch import StoreWatch
from personaplug.worker import Worker


class SlowStore:
    """Answers once it is let go."""

    def __init__(self):
        self.asked, self.goes_on = 0, threading.Event()

    @property
    def is_reachable(self):
        self.asked += 1
        return self.goes_on.wait(30)


def test_a_store_that_hangs_counts_as_away_and_is_asked_once_however_many_want_to_know():
    store = SlowStore()
    worker = Worker(lambda: nullcontext(store), name="watch")
    worker.open()

    async def within():
        watch = StoreWatch(worker, seconds=0.05)
        assert await asyncio.gather(*(watch.is_answering() for _ in range(5))) == [False] * 5
        assert await watch.is_answering() is False
        assert store.asked == 1
        store.goes_on.set()
        watch.seconds = 30
        assert await watch.is_answering()

    asyncio.run(within())
    worker.close()
