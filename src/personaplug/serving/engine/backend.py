"""Who answers a batch of questions: the language model in this process, or a server to which this one passes them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from time import monotonic

import torch

from personaplug.serving.engine.metrics import Metrics
from personaplug.serving.engine.models import Models, Reading
from personaplug.serving.engine.request import AnswerStart, EngineRequest, Reply
from personaplug.serving.engine.turns import LongInputError
from personaplug.worker import Worker


class Backend(ABC):
    """Answers batches of questions. Its public methods are called on the engine's event loop.

    Args:
        worker: Owns the models, which are open.
        metrics: Where its work is counted.
    """

    def __init__(self, worker: Worker[Models], *, metrics: Metrics) -> None:
        self._worker = worker
        self._metrics = metrics

    @abstractmethod
    async def write(self, replies: Sequence[Reply]) -> None:
        """Answer questions together, and return when the next may come.

        Raises:
            Exception: They cannot be answered together; any of them may be at fault, or none.
        """

    async def is_reachable(self) -> bool:
        """Say whether a question would find somebody to answer it."""
        return True

    async def finish(self) -> None:  # noqa: B027 (most hold nothing)
        """Wait for the answers under way, and let go of what was held for others."""

    @torch.inference_mode()
    def _read(self, models: Models, replies: Sequence[Reply]) -> list[tuple[Reply, Reading]]:
        """Read questions as the language model will, but those too long to. Called in the models' thread."""
        begun = monotonic()
        for reply in replies:
            self._metrics.stage.labels("wait").observe(begun - reply.asked_at)
        models.personas.refresh()
        fitting = _fitting(models, replies)
        readings = models.read([request for _, request in fitting])
        self._metrics.stage.labels("read").observe(monotonic() - begun)
        self._metrics.batch_rows.observe(len(replies))
        return [(reply, reading) for (reply, _), reading in zip(fitting, readings, strict=True)]

    def _count(self, reply: Reply, opening: AnswerStart, *, tokens: int) -> None:
        """Count an answer and its tokens."""
        self._metrics.tokens.labels("prompt").inc(opening.prompt_tokens)
        self._metrics.tokens.labels("answer").inc(tokens)
        self._metrics.answers.labels(reply.request.model, opening.persona).inc()
        self._metrics.stage.labels("answer").observe(monotonic() - reply.asked_at)


def _fitting(models: Models, replies: Sequence[Reply]) -> list[tuple[Reply, EngineRequest]]:
    """Give the questions as far as there is room for them; whoever asked one too long is told."""
    fitting = []
    for reply in replies:
        try:
            fitting.append((reply, models.by_name[reply.request.model].fit(reply.request)))
        except LongInputError as error:
            reply.refuse(error)
    return fitting
