"""The routes that look after a user's persona."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from personaplug.data.log import log_line
from personaplug.errors import ConfigError
from personaplug.records import HistoryItem
from personaplug.serving.api.access import Caller
from personaplug.serving.api.dependencies import REFUSALS, allowed, named_user
from personaplug.serving.api.errors import ApiError
from personaplug.serving.api.persona_schemas import (
    ExplainRequest,
    ExplainResponse,
    ForgetResponse,
    HeldItem,
    HistoryRequest,
    HistoryResponse,
    MemoryResponse,
    PersonaResponse,
)
from personaplug.serving.api.requests import model_named
from personaplug.serving.api.service import Service
from personaplug.serving.engine.history_service import FullHistoryError

User = Annotated[str, Depends(named_user)]
_NDJSON = "application/x-ndjson"


def persona_routes(service: Service) -> APIRouter:
    """Make the routes under ``/v1/personas``."""
    routes = APIRouter(prefix="/v1/personas/{user}", tags=["personas"], responses=REFUSALS)
    MayRead = Annotated[Caller, Depends(allowed(service, "read"))]  # noqa: N806 (a type)
    MayWrite = Annotated[Caller, Depends(allowed(service, "write"))]  # noqa: N806
    histories = service.histories

    @routes.get("")
    async def show(
        user: User, caller: MayRead, text: Annotated[bool, Query(description="Whether to show the items.")] = False
    ) -> PersonaResponse:
        """Say how much is held of a user, from when to when, and by which encoder; no text unless it is asked for."""
        summary = await histories.summary(caller.stored(user))
        shown = PersonaResponse.of(user, summary, encoder=histories.layout.fingerprint)
        if text:
            shown.history = [HeldItem.of(item) for item in (await histories.profile(caller.stored(user))).items]
        return shown

    @routes.post("/history")
    async def append(user: User, told: HistoryRequest, caller: MayWrite) -> HistoryResponse:
        """Add items to a user's history; the next answer knows them, and to tell them again changes nothing."""
        try:
            done = await histories.append(caller.stored(user), [item.as_new() for item in told.items])
        except FullHistoryError as error:
            raise ApiError(400, f"{str(error).capitalize()}.", code="history_full") from error
        return HistoryResponse(user=user, new_items=done.new_items, items=done.summary.items)

    @routes.delete("")
    async def forget(user: User, caller: MayWrite) -> ForgetResponse:
        """Forget a user: no byte of them stays in the store's files."""
        return ForgetResponse(user=user, items=await histories.forget(caller.stored(user)))

    @routes.get(
        "/export", response_class=Response, responses={200: {"content": {_NDJSON: {"schema": {"type": "string"}}}}}
    )
    async def export(user: User, caller: MayRead) -> Response:
        """Give all that is held of a user, as a log in JSON Lines."""

        def line(item: HistoryItem) -> str:
            return log_line({"user_id": user, **HeldItem.of(item).model_dump(mode="json")})

        lines = await histories.written(caller.stored(user), line)
        return Response(lines, media_type=_NDJSON, headers={"Cache-Control": "no-store"})

    @routes.post("/explain")
    async def explain(user: User, asked: ExplainRequest, caller: MayRead) -> ExplainResponse:
        """Show which memories make the persona for an input, the weightiest first."""
        model_named(service, asked.model)
        try:
            memories = await histories.explain(asked.model, asked.input, user=caller.stored(user))
        except ConfigError as error:
            raise ApiError(400, "This model has no persona to explain.", code="no_persona", param="model") from error
        shown = [MemoryResponse.of(memory, with_text=asked.text) for memory in memories[: asked.top]]
        return ExplainResponse(user=user, model=asked.model, memories=shown, items=len(memories))

    return routes
