"""A queue of many users' questions, and who takes them out of it batch by batch."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from time import monotonic

from personaplug.config import option
from personaplug.errors import PersonaPlugError, StoreAwayError
from personaplug.serving.engine.backend import Backend
from personaplug.serving.engine.metrics import Metrics
from personaplug.serving.engine.models import Models, ServedModel
from personaplug.serving.engine.request import EngineRequest, Reply


class FullQueueError(PersonaPlugError):
    """More questions wait than the queue holds.

    Args:
        seconds: After how many to ask again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__("too many questions wait", hint=f"ask again in {seconds} s")
        self.seconds = seconds


class DrainingError(PersonaPlugError):
    """The server answers what it has accepted, and accepts no more."""

    def __init__(self) -> None:
        super().__init__("the server is stopping", hint="ask another replica, or again in a while")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How questions share batches."""

    batch_rows: int = option(32, "most questions in a batch")
    batch_tokens: int = option(16_384, "most tokens in a batch, each row counted as long as the longest")
    batch_seconds: float = option(0.004, "how long the first question of a batch waits for others")
    queue: int = option(512, "most questions that wait")
    relayed: int = option(256, "most answers under way at once, where another server writes them")

    def __post_init__(self) -> None:
        if min(self.batch_rows, self.batch_tokens, self.queue, self.relayed) < 1 or not self.batch_seconds >= 0:
            raise ValueError(
                "batch_rows, batch_tokens, queue and relayed must be at least 1, batch_seconds not negative"
            )


class Engine:
    """A queue, and the one who empties it batch by batch. All its methods belong to one event loop.

    Args:
        backend: Answers what is taken out.
        models: The runs, for what can be known without the thread that owns them.
        config: How questions share batches.
        metrics: Where its work is counted.
    """

    def __init__(self, backend: Backend, models: Models, config: EngineConfig, *, metrics: Metrics) -> None:
        self.backend = backend
        self.models = models
        self.config = config
        self._metrics = metrics
        self._waiting: deque[Reply] = deque()
        self._arrived = asyncio.Event()
        self._is_draining = False
        self._answering = 0
        self._batch_seconds = 1.0  # of the batches of late, on average
        self._serving: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether questions are accepted."""
        return self._serving is not None and not self._serving.done() and not self._is_draining

    @property
    def is_idle(self) -> bool:
        """Whether no question waits or is being answered."""
        return not self._waiting and not self._answering

    def start(self) -> None:
        """Begin to answer."""
        self._serving = asyncio.create_task(self._serve())

    async def drain(self) -> None:
        """Answer what was accepted, and stop."""
        self._is_draining = True
        self._arrived.set()
        if self._serving:
            await self._serving
        await self.backend.finish()

    def ask(self, request: EngineRequest) -> Reply:
        """Put a question into the queue.

        Raises:
            FullQueueError: The queue is full.
            DrainingError: The engine is stopping.
        """
        if self._is_draining:
            raise DrainingError
        if len(self._waiting) >= self.config.queue:
            self._drop_cancelled()
        if len(self._waiting) >= self.config.queue:
            raise FullQueueError(ceil(self._batch_seconds * len(self._waiting) / self.config.batch_rows))
        reply = Reply(request)
        self._waiting.append(reply)
        self._metrics.queue.set(len(self._waiting))
        self._arrived.set()
        return reply

    async def _serve(self) -> None:
        while not (self._is_draining and not self._waiting):
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            elif batch := await self._gather():
                await self._answer(batch)

    async def _gather(self) -> list[Reply]:
        """Take the questions of one batch out of the queue, the longest waiting first."""
        if len(self._waiting) < self.config.batch_rows:
            await asyncio.sleep(self.config.batch_seconds)
        self._drop_cancelled()
        batch: list[Reply] = []
        longest = 0
        for reply in filter(self._goes_with_the_first, self._waiting):
            longest = max(longest, self._model(reply).cost(reply.request))
            rows = len(batch) + 1
            if batch and (rows > self.config.batch_rows or rows * longest > self.config.batch_tokens):
                break
            batch.append(reply)
        for reply in batch:
            self._waiting.remove(reply)
        self._metrics.queue.set(len(self._waiting))
        return batch

    def _goes_with_the_first(self, reply: Reply) -> bool:
        """Tell whether a question has the language model of the one that waits longest."""
        return self._model(reply).plug.backbone is self._model(self._waiting[0]).plug.backbone

    async def _answer(self, batch: Sequence[Reply]) -> None:
        """Answer a batch; if that fails, each of its questions alone, so that one cannot spoil the others.

        Where the store is away none could be answered, and each would wait for it in vain.
        """
        begun, self._answering = monotonic(), len(batch)
        if error := await self._attempt(batch):
            unanswered = [reply for reply in batch if not reply.is_done]
            is_over = len(batch) == 1 or isinstance(error, StoreAwayError)
            for reply in unanswered:
                if own_error := error if is_over else await self._attempt_alone(reply):
                    self._fail(reply, own_error)
        self._answering = 0
        self._batch_seconds += 0.2 * (monotonic() - begun - self._batch_seconds)

    async def _attempt(self, replies: Sequence[Reply]) -> Exception | None:
        try:
            await self.backend.write(replies)
        except Exception as error:
            return error
        return None

    async def _attempt_alone(self, reply: Reply) -> Exception | None:
        reply.again()
        return await self._attempt([reply])

    def _fail(self, reply: Reply, error: BaseException) -> None:
        self._metrics.failures.inc()
        reply.fail(error)

    def _model(self, reply: Reply) -> ServedModel:
        return self.models.by_name[reply.request.model]

    def _drop_cancelled(self) -> None:
        self._waiting = deque(reply for reply in self._waiting if not reply.is_cancelled)
        self._metrics.queue.set(len(self._waiting))
