"""From a completion request to questions for the engine."""

import secrets
from collections.abc import Sequence

from fastapi import Request, Response

from personaplug.backbone.generation_config import GenerationConfig
from personaplug.errors import PersonaPlugError
from personaplug.serving.api.access import Caller
from personaplug.serving.api.completion_formats import Form
from personaplug.serving.api.errors import RefusalError
from personaplug.serving.api.responses import let_go, stream, whole
from personaplug.serving.api.schemas import Asking
from personaplug.serving.api.service import Service
from personaplug.serving.engine.limits import LONGEST_PROMPTS
from personaplug.serving.engine.request import EngineRequest, Reply
from personaplug.serving.engine.turns import Turn, joined

_LONGEST_STOP = 256


async def respond(
    service: Service,
    asking: Asking,
    *,
    inputs: Sequence[str | tuple[Turn, ...]],
    form: Form,
    caller: Caller,
    request: Request,
) -> Response:
    """Answer texts or chats, whole or piece by piece; whoever leaves meanwhile wants no more, and their rows end.

    Raises:
        RefusalError: They cannot be asked so.
    """
    if sum(len(_text(each)) for each in inputs) > LONGEST_PROMPTS:
        message = f"The prompts of a request have at most {LONGEST_PROMPTS:,} characters together."
        raise RefusalError(400, message, code="string_too_long", param="prompt")
    questions = [_question(service, asking, asked=each, caller=caller) for each in inputs]
    replies: list[Reply] = []
    try:
        for question in questions:
            replies.append(service.engine.ask(question))
    except PersonaPlugError:
        let_go(replies)
        raise
    return await (
        stream(asking, replies, form=form, request=request) if asking.stream else whole(replies, form, request=request)
    )


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


def _text(asked: str | tuple[Turn, ...]) -> str:
    return asked if isinstance(asked, str) else joined(asked)


def _question(service: Service, asking: Asking, *, asked: str | tuple[Turn, ...], caller: Caller) -> EngineRequest:
    model_named(service, asking.model)
    model = service.engine.models.by_name[asking.model]
    if not all(0 < len(stop) <= _LONGEST_STOP for stop in asking.stops):
        message = f"stop: texts of 1 to {_LONGEST_STOP} characters."
        raise RefusalError(400, message, code="invalid_value", param="stop")
    return EngineRequest(
        model=asking.model,
        text=_text(asked),
        turns=() if isinstance(asked, str) else asked,
        user=caller.stored(asking.user) if asking.user is not None else None,
        config=_decoding(asking, longest=model.longest_answer(limit=service.limits.answer_tokens)),
        stops=asking.stops,
        with_persona=asking.persona == "on",
        is_streamed=bool(asking.stream),
    )


def _decoding(asking: Asking, *, longest: int) -> GenerationConfig:
    tokens = min(asking.longest or longest, longest)  # more than there is room for is wanted in vain, not wrong
    if not asking.temperature:
        return GenerationConfig(max_new_tokens=tokens)
    return GenerationConfig(
        strategy="sample",
        temperature=asking.temperature,
        top_p=1.0 if asking.top_p is None else asking.top_p,
        max_new_tokens=tokens,
        seed=secrets.randbits(63) if asking.seed is None else asking.seed,
    )
