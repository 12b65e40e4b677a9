"""From a completion request to questions for the engine, and from their answers to a response."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from personaplug.plug.decoding import GenerationConfig
from personaplug.serving.access import Caller
from personaplug.serving.forms import Form
from personaplug.serving.limits import MOST_STOPS
from personaplug.serving.question import Question, Reply
from personaplug.serving.refusals import RefusalError, as_refusal
from personaplug.serving.schemas import Asking, Usage
from personaplug.serving.service import Service

PERSONA_HEADER = "X-Personaplug-Persona"
"""Says in whose way an answer is: ``own``, ``generic`` (nothing is known of the user) or ``off``."""

_GONE = 499
"""Nobody reads this status: the client has left."""

_LONGEST_STOP = 256

T = TypeVar("T")


async def respond(
    service: Service, asking: Asking, texts: Sequence[str], form: Form, *, caller: Caller, request: Request
) -> Response:
    """Answer texts, whole or piece by piece; whoever leaves meanwhile wants no more, and their rows end.

    Raises:
        RefusalError: They cannot be asked so.
    """
    questions = [_question(service, asking, text, caller) for text in texts]
    replies = [service.engine.ask(each) for each in questions]
    return await (_stream(asking, replies, form, request) if asking.stream else _whole(replies, form, request))


def model_named(service: Service, name: str) -> None:
    """Refuse a model that is not served.

    Raises:
        RefusalError: There is none of this name.
    """
    if name not in service.engine.models.by_name:
        known = ", ".join(service.engine.models.by_name)
        raise RefusalError(
            404, f"There is no such model; these are served: {known}", code="model_not_found", param="model"
        )


def _question(service: Service, asking: Asking, text: str, caller: Caller) -> Question:
    model_named(service, asking.model)
    model = service.engine.models.by_name[asking.model]
    if len(asking.stops) > MOST_STOPS or not all(0 < len(stop) <= _LONGEST_STOP for stop in asking.stops):
        message = f"stop: at most {MOST_STOPS} texts of 1 to {_LONGEST_STOP} characters."
        raise RefusalError(400, message, code="invalid_value", param="stop")
    return Question(
        model=asking.model,
        text=text,
        user=caller.stored(asking.user) if asking.user is not None else None,
        config=_decoding(asking, longest=model.longest_answer(limit=service.limits.answer_tokens)),
        stops=asking.stops,
        with_persona=asking.persona == "on",
        is_streamed=bool(asking.stream),
    )


def _decoding(asking: Asking, *, longest: int) -> GenerationConfig:
    tokens = asking.longest
    if tokens is not None and tokens > longest:
        message = f"max_tokens: an answer of this model has at most {longest} tokens."
        raise RefusalError(400, message, code="invalid_value", param="max_tokens")
    if not asking.temperature:
        return GenerationConfig(max_new_tokens=tokens or longest)
    return GenerationConfig(
        strategy="sample",
        temperature=asking.temperature,
        top_p=1.0 if asking.top_p is None else asking.top_p,
        max_new_tokens=tokens or longest,
        seed=secrets.randbits(63) if asking.seed is None else asking.seed,
    )


async def _whole(replies: Sequence[Reply], form: Form, request: Request) -> Response:
    """Wait for all answers."""
    answers = await _unless_gone(asyncio.gather(*(reply.answer() for reply in replies)), replies, request)
    if answers is None:
        return Response(status_code=_GONE)
    headers = {PERSONA_HEADER: await _persona(replies)}
    return JSONResponse(form.whole(answers, await _usage(replies)).model_dump(), headers=headers)


async def _stream(asking: Asking, replies: Sequence[Reply], form: Form, request: Request) -> Response:
    """Wait until the first answer begins, so that its header can be told, and what fails before has a status."""
    persona = await _unless_gone(asyncio.ensure_future(_persona(replies)), replies, request)
    if persona is None:
        return Response(status_code=_GONE)
    headers = {PERSONA_HEADER: persona, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    events = _events(replies, form, wants_usage=asking.wants_usage)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _unless_gone(wanted: "asyncio.Future[T]", replies: Sequence[Reply], request: Request) -> T | None:
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
            _let_go(replies)


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(replies: Sequence[Reply], form: Form, *, wants_usage: bool) -> AsyncIterator[bytes]:
    """Write the answers one after the other, as far as each has come; an error on the way ends the stream."""
    async with _letting_go(replies):
        for index, reply in enumerate(replies):
            if first := form.first(index):
                yield _event(first)
            async for text in reply.pieces():
                yield _event(form.piece(index, text))
            if reply.error:
                yield b"data: " + json.dumps(as_refusal(reply.error).body).encode() + b"\n\n"
                return
            yield _event(form.last(index, await reply.answer()))
        if wants_usage:
            yield _event(form.used(await _usage(replies)))
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
        _let_go(replies)


def _let_go(replies: Sequence[Reply]) -> None:
    for reply in replies:
        if not reply.is_done:
            reply.cancel()
