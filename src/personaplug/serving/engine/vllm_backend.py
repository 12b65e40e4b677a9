"""Answers by way of a vLLM server: this process writes the embeddings, that one reads them and answers."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from time import monotonic

from personaplug.serving.engine.backend import Backend
from personaplug.serving.engine.metrics import Metrics
from personaplug.serving.engine.models import Models
from personaplug.serving.engine.request import AnswerStart, GeneratedAnswer, Reply
from personaplug.serving.engine.vllm_client import Connection, Upstream
from personaplug.serving.engine.vllm_wire import UpstreamError, write_body
from personaplug.worker import Worker


class VllmBackend(Backend):
    """Reads questions batch by batch and passes them on one by one; the answers come side by side.

    Args:
        worker: Owns the models, which are open and without layers.
        upstream: Answers.
        most: Answers under way at once; further questions wait in the queue.
        metrics: Where its work is counted.
    """

    def __init__(self, worker: Worker[Models], upstream: Upstream, *, most: int, metrics: Metrics) -> None:
        super().__init__(worker, metrics=metrics)
        self.upstream = upstream
        self.most = most
        self._free = asyncio.Semaphore(most)
        self._under_way: set[asyncio.Task[None]] = set()
        self._opened: Connection | None = None

    async def write(self, replies: Sequence[Reply]) -> None:
        """Read a batch and pass it on, as soon as there is room; its answers may still be coming afterwards."""
        requests = await self._worker.do(lambda models: self._write(models, replies))
        for reply, opening, body in requests:
            await self._free.acquire()
            task = asyncio.create_task(self._pass_on(reply, opening, body))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
            reply.when_cancelled(task.cancel)

    async def is_reachable(self) -> bool:
        """Say whether the server in the back is."""
        return await self._connection.is_alive()

    async def finish(self) -> None:
        """Wait for the answers under way, and close the connections."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._connection.close()

    @property
    def _connection(self) -> Connection:
        """The connections, made on the event loop that uses them."""
        if self._opened is None:
            self._opened = self.upstream.open(connections=self.most)
        return self._opened

    def _write(self, models: Models, replies: Sequence[Reply]) -> list[tuple[Reply, AnswerStart, bytes]]:
        """Read questions and write the requests of them, in the models' thread."""
        return [
            (reply, read.opening, write_body(read.embeds[read.mask], reply.request, model=self._answering(reply)))
            for reply, read in self._read(models, replies)
        ]

    def _answering(self, reply: Reply) -> str:
        return self.upstream.answering(reply.request.model, with_persona=reply.request.with_persona)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._free.release()

    async def _pass_on(self, reply: Reply, opening: AnswerStart, body: bytes) -> None:
        """Answer one question, or fail it alone."""
        begun = monotonic()
        try:
            answer = await self._relay(reply, opening, body=body)
        except Exception as error:
            self._metrics.failures.inc()
            reply.fail(error)
        else:
            reply.tell(answer.text, answer)
            self._metrics.stage.labels("write").observe(monotonic() - begun)
            self._count(reply, opening, tokens=answer.tokens)

    async def _relay(self, reply: Reply, opening: AnswerStart, *, body: bytes) -> GeneratedAnswer:
        """Tell the answer while it grows, and give the whole."""
        text, ending, tokens = "", None, None
        async with aclosing(self._connection.complete(body)) as pieces:
            async for piece in pieces:
                reply.begin(opening)
                text, ending, tokens = text + piece.text, piece.ending or ending, piece.tokens or tokens
                if reply.request.is_streamed:
                    reply.tell(text.strip())
        if ending is None or tokens is None:
            raise UpstreamError("the language model's server has broken off")
        return GeneratedAnswer(text.strip(), tokens, ending)
