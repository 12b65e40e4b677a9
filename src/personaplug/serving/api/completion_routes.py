"""The routes that answer: chats, texts, and the list of who answers."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from personaplug.plug.run_folder import CONFIG
from personaplug.serving.api.access import Caller
from personaplug.serving.api.completion_formats import ChatFormatter, TextFormatter
from personaplug.serving.api.dependencies import REFUSALS, allowed
from personaplug.serving.api.requests import model_named, respond
from personaplug.serving.api.responses import PERSONA_HEADER
from personaplug.serving.api.schemas import (
    ChatRequest,
    ChatResponse,
    CompletionRequest,
    CompletionResponse,
    ModelCard,
    ModelList,
)
from personaplug.serving.api.service import Service

_ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream`, its pieces as server-sent events.",
        "headers": {PERSONA_HEADER: {"description": "`own`, `generic` or `off`.", "schema": {"type": "string"}}},
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    **REFUSALS,
}


def completion_routes(service: Service) -> APIRouter:
    """Make the routes under ``/v1`` that OpenAI's clients know."""
    routes = APIRouter(prefix="/v1", tags=["completions"])
    MayGenerate = Annotated[Caller, Depends(allowed(service, "generate"))]  # noqa: N806 (a type)

    @routes.post("/chat/completions", response_model=ChatResponse, responses=_ANSWERED)
    async def chat(options: ChatRequest, caller: MayGenerate, request: Request) -> Response:
        """Answer the last turn of a chat in a user's way."""
        return await respond(
            service,
            options,
            inputs=[options.turns],
            formatter=ChatFormatter(options.model),
            caller=caller,
            request=request,
        )

    @routes.post("/completions", response_model=CompletionResponse, responses=_ANSWERED)
    async def complete(options: CompletionRequest, caller: MayGenerate, request: Request) -> Response:
        """Answer a text, or several, in a user's way."""
        return await respond(
            service,
            options,
            inputs=options.texts,
            formatter=TextFormatter(options.model),
            caller=caller,
            request=request,
        )

    @routes.get("/models", responses=REFUSALS)
    async def models(_: MayGenerate) -> ModelList:
        """List the runs that answer."""
        return ModelList(data=[_card(service, name) for name in _names(service)])

    @routes.get("/models/{model}", responses=REFUSALS)
    async def model(model: str, _: MayGenerate) -> ModelCard:
        """Show one of them."""
        model_named(service, model)
        return _card(service, model)

    return routes


def _names(service: Service) -> Sequence[str]:
    return list(service.engine.models.by_name)


def _card(service: Service, name: str) -> ModelCard:
    return ModelCard(id=name, created=int((service.paths.runs[name] / CONFIG).stat().st_mtime))
