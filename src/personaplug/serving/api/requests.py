"""From a completion request to questions for the engine."""

import secrets
from collections.abc import Sequence

from fastapi import Request, Response

from personaplug.backbone.generation_config import GenerationConfig
from personaplug.errors import PersonaPlugError
from personaplug.serving.api.access import Caller
from personaplug.serving.api.completion_formats import CompletionFormatter
from personaplug.serving.api.errors import ApiError
from personaplug.serving.api.responses import let_go, stream, whole
from personaplug.serving.api.schemas import CompletionOptions
from personaplug.serving.api.service import Service
from personaplug.serving.engine.limits import LONGEST_PROMPTS
from personaplug.serving.engine.request import EngineRequest, Reply
from personaplug.serving.engine.turns import Turn, joined

_LONGEST_STOP = 256


async def respond(
    service: Service,
    options: CompletionOptions,
    *,
    inputs: Sequence[str | tuple[Turn, ...]],
    formatter: CompletionFormatter,
    caller: Caller,
    request: Request,
) -> Response:
    """Answer texts or chats, whole or piece by piece; whoever leaves meanwhile wants no more, and their rows end.

    Raises:
        ApiError: They cannot be asked so.
    """
    if sum(len(_text(each)) for each in inputs) > LONGEST_PROMPTS:
        message = f"The prompts of a request have at most {LONGEST_PROMPTS:,} characters together."
        raise ApiError(400, message, code="string_too_long", param="prompt")
    questions = [_question(service, options, asked=each, caller=caller) for each in inputs]
    replies: list[Reply] = []
    try:
        for question in questions:
            replies.append(service.engine.ask(question))
    except PersonaPlugError:
        let_go(replies)
        raise
    return await (
        stream(options, replies, formatter=formatter, request=request)
        if options.stream
        else whole(replies, formatter, request=request)
    )


def model_named(service: Service, name: str) -> None:
    """Refuse a model that is not served.

    Raises:
        ApiError: There is none of this name.
    """
    if name not in service.engine.models.by_name:
        known = ", ".join(service.engine.models.by_name)
        raise ApiError(404, f"There is no such model; these are served: {known}", code="model_not_found", param="model")


def _text(asked: str | tuple[Turn, ...]) -> str:
    return asked if isinstance(asked, str) else joined(asked)


def _question(
    service: Service, options: CompletionOptions, *, asked: str | tuple[Turn, ...], caller: Caller
) -> EngineRequest:
    model_named(service, options.model)
    model = service.engine.models.by_name[options.model]
    if not all(0 < len(stop) <= _LONGEST_STOP for stop in options.stops):
        message = f"stop: texts of 1 to {_LONGEST_STOP} characters."
        raise ApiError(400, message, code="invalid_value", param="stop")
    return EngineRequest(
        model=options.model,
        text=_text(asked),
        turns=() if isinstance(asked, str) else asked,
        user=caller.stored(options.user) if options.user is not None else None,
        config=_decoding(options, longest=model.longest_answer(limit=service.limits.answer_tokens)),
        stops=options.stops,
        with_persona=options.persona == "on",
        is_streamed=bool(options.stream),
    )


def _decoding(options: CompletionOptions, *, longest: int) -> GenerationConfig:
    tokens = min(options.longest or longest, longest)  # more than there is room for is wanted in vain, not wrong
    if not options.temperature:
        return GenerationConfig(max_new_tokens=tokens)
    return GenerationConfig(
        strategy="sample",
        temperature=options.temperature,
        top_p=1.0 if options.top_p is None else options.top_p,
        max_new_tokens=tokens,
        seed=secrets.randbits(63) if options.seed is None else options.seed,
    )
