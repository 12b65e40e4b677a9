"""From the answers of the engine to a response, whole or piece by piece."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from personaplug.serving.api.completion_formats import CompletionFormatter
from personaplug.serving.api.errors import as_api_error, log_failure
from personaplug.serving.api.schemas import CompletionOptions, Usage
from personaplug.serving.engine.request import Reply

PERSONA_HEADER = "X-Personaplug-Persona"
"""Says in whose way an answer is: ``own``, ``generic`` (nothing is known of the user) or ``off``."""

_GONE = 499
"""Nobody reads this status: the client has left."""

T = TypeVar("T")


async def whole(replies: Sequence[Reply], formatter: CompletionFormatter, *, request: Request) -> Response:
    """Wait for all answers."""
    answers = await _unless_gone(asyncio.gather(*(reply.answer() for reply in replies)), replies, request=request)
    if answers is None:
        return Response(status_code=_GONE)
    headers = {PERSONA_HEADER: await _persona(replies)}
    return JSONResponse(formatter.whole(answers, await _usage(replies)).model_dump(), headers=headers)


async def stream(
    options: CompletionOptions, replies: Sequence[Reply], *, formatter: CompletionFormatter, request: Request
) -> Response:
    """Wait until the first answer begins, so that its header can be told, and what fails before has a status."""
    persona = await _unless_gone(asyncio.ensure_future(_persona(replies)), replies, request=request)
    if persona is None:
        return Response(status_code=_GONE)
    headers = {PERSONA_HEADER: persona, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    events = _events(replies, formatter, wants_usage=options.wants_usage)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _unless_gone(wanted: "asyncio.Future[T]", replies: Sequence[Reply], *, request: Request) -> T | None:
    """Wait for something; None where the client left before. Unless it comes, nobody wants the replies any more."""
    gone = asyncio.create_task(_leaving(request))
    either: list[asyncio.Future[Any]] = [wanted, gone]
    has_come = False
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        has_come = wanted.done() and wanted.exception() is None
        return wanted.result() if wanted.done() else None
    finally:
        gone.cancel()
        wanted.cancel()
        if not has_come:
            let_go(replies)


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(
    replies: Sequence[Reply], formatter: CompletionFormatter, *, wants_usage: bool
) -> AsyncIterator[bytes]:
    """Write the answers one after the other, as far as each has come; an error on the way ends the stream."""
    async with _letting_go(replies):
        for index, reply in enumerate(replies):
            if first := formatter.first(index):
                yield _event(first)
            async for text in reply.pieces():
                yield _event(formatter.piece(index, text))
            if reply.error:
                log_failure(reply.error)
                yield b"data: " + json.dumps(as_api_error(reply.error).body).encode() + b"\n\n"
                return
            yield _event(formatter.last(index, await reply.answer()))
        if wants_usage:
            yield _event(formatter.used(await _usage(replies)))
        yield b"data: [DONE]\n\n"


def _event(value: BaseModel) -> bytes:
    return b"data: " + value.model_dump_json().encode() + b"\n\n"


async def _persona(replies: Sequence[Reply]) -> str:
    """Say in whose way the answers are; all are for one user."""
    return (await replies[0].opening()).persona


async def _usage(replies: Sequence[Reply]) -> Usage:
    read = sum([(await reply.opening()).prompt_tokens for reply in replies])
    written = sum([(await reply.answer()).tokens for reply in replies])
    return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


@asynccontextmanager
async def _letting_go(replies: Sequence[Reply]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        let_go(replies)


def let_go(replies: Sequence[Reply]) -> None:
    """Want these replies no longer, as far as they have not come."""
    for reply in replies:
        if not reply.is_done:
            reply.cancel()
