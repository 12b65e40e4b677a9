"""What is asked of the engine, and how its answer comes back across threads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from personaplug.backbone.generation_config import GenerationConfig
from personaplug.backbone.row_generation import Ending, RowGeneration
from personaplug.serving.engine.turns import Turn

Persona = Literal["own", "generic", "off"]
"""In whose way an answer is: the user's, the trained one for users without a history, or the bare language model's."""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One input to answer.

    Attributes:
        model: Name of the run that answers.
        text: The input, as a log would hold it.
        user: Whose way to answer in, by the store's id; None for nobody's.
        config: How to decode.
        stops: Texts before which the answer ends.
        with_persona: False for the bare language model.
        is_streamed: Whether pieces are wanted before the whole.
        turns: Of which the text is made, where it is a chat's: old ones may be left out.
    """

    model: str
    text: str
    user: str | None
    config: GenerationConfig
    stops: tuple[str, ...] = ()
    with_persona: bool = True
    is_streamed: bool = False
    turns: tuple[Turn, ...] = ()

    @property
    def field(self) -> str:
        """Where it stands in a request."""
        return "messages" if self.turns else "prompt"


@dataclass(frozen=True, slots=True)
class AnswerStart:
    """What is known when an answer begins.

    Attributes:
        persona: In whose way it is.
        prompt_tokens: Tokens, and vectors in their place, that the language model reads.
    """

    persona: Persona
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    """A whole answer.

    Attributes:
        text: The answer.
        tokens: How many tokens it has, without its end.
        ending: Why it ended.
    """

    text: str
    tokens: int
    ending: Ending


class Reply:
    """The answer to one question while it comes; made and read on the event loop, told from the model's thread.

    Attributes:
        request: What was asked.
        writing: Where the answer grows; a new one for each attempt.
        asked_at: When, on the monotonic clock, in seconds.
    """

    def __init__(self, request: EngineRequest) -> None:
        self.request = request
        self.asked_at = monotonic()
        self.is_cancelled = False
        self.writing = self._new_writing()
        self._loop = asyncio.get_running_loop()
        self._opening: asyncio.Future[AnswerStart] = self._loop.create_future()
        self._answer: asyncio.Future[GeneratedAnswer] = self._loop.create_future()
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()
        self._let_go: Callable[[], object] = lambda: None

    async def opening(self) -> AnswerStart:
        """Wait until the answer begins.

        Raises:
            Exception: What went wrong before.
        """
        return await asyncio.shield(self._opening)

    async def pieces(self) -> AsyncIterator[str]:
        """Give the answer piece by piece; joined they are the whole. After a failure they end early."""
        sent = ""
        while (text := await self._texts.get()) is not None:
            if len(text) > len(sent):
                yield text[len(sent) :]
                sent = text

    @property
    def error(self) -> BaseException | None:
        """What went wrong; None where nothing did, or where it is not known yet."""
        return self._answer.exception() if self._answer.done() else None

    async def answer(self) -> GeneratedAnswer:
        """Wait for the whole answer.

        Raises:
            Exception: What went wrong.
        """
        return await asyncio.shield(self._answer)

    @property
    def is_done(self) -> bool:
        """Whether nobody waits for it any more: it is whole, has failed or was cancelled."""
        return self.is_cancelled or self._answer.done()

    def cancel(self) -> None:
        """Want it no longer: its row ends at the next token, or never begins."""
        self.is_cancelled = True
        self.writing.cancel()
        self._let_go()

    def when_cancelled(self, let_go: Callable[[], object]) -> None:
        """Call this when nobody wants the answer any more; at once where that is so already."""
        self._let_go = let_go
        if self.is_cancelled:
            let_go()

    def again(self) -> None:
        """Begin anew after a failure; what was told before is not told twice."""
        self.writing = self._new_writing()
        if self.is_cancelled:
            self.writing.cancel()

    def fail(self, error: BaseException) -> None:
        """Raise an error to whoever waits. Called on the event loop."""
        for future in (self._opening, self._answer):
            if not future.done():
                future.set_exception(error)
                future.exception()  # marks it as seen: nobody may be waiting
        self._texts.put_nowait(None)

    def refuse(self, error: BaseException) -> None:
        """Raise an error to whoever waits. Called in any thread."""
        self._loop.call_soon_threadsafe(self.fail, error)

    def begin(self, opening: AnswerStart) -> None:
        """Say that the answer begins, the first time that this is called. Called in any thread."""
        self._loop.call_soon_threadsafe(self._begun, opening)

    def tell(self, text: str, ended: GeneratedAnswer | None = None) -> None:
        """Pass on what has grown so far, and the whole when it has ended. Called on the event loop."""
        self._texts.put_nowait(text)
        if ended and not self._answer.done():
            self._answer.set_result(ended)
            self._texts.put_nowait(None)

    def _new_writing(self) -> RowGeneration:
        request = self.request
        return RowGeneration(request.config, stops=request.stops, tell=self._tell, is_streamed=request.is_streamed)

    def _tell(self, writing: RowGeneration) -> None:
        """Pass on what has grown. Called in the model's thread."""
        ended = GeneratedAnswer(writing.text, len(writing.tokens), writing.ending) if writing.ending else None
        self._loop.call_soon_threadsafe(self.tell, writing.settled, ended)

    def _begun(self, opening: AnswerStart) -> None:
        if not self._opening.done():
            self._opening.set_result(opening)
