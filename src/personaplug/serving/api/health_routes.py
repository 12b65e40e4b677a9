"""The routes by which others look after the server."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from personaplug.serving.api.access import Caller
from personaplug.serving.api.dependencies import REFUSALS, allowed
from personaplug.serving.api.errors import ApiError
from personaplug.serving.api.service import Service


class Health(BaseModel):
    """How the server is."""

    status: str


def health_routes(service: Service) -> APIRouter:
    """Make the routes for balancers and for Prometheus."""
    routes = APIRouter(tags=["health"])
    MayAll = Annotated[Caller, Depends(allowed(service, "admin"))]  # noqa: N806 (a type)

    @routes.get("/healthz")
    async def healthz() -> Health:
        """Say that the process lives."""
        return Health(status="alive")

    @routes.get("/readyz", responses={503: REFUSALS[503]})
    async def readyz() -> Health:
        """Say that questions are accepted, and would be answered."""
        is_ready = service.engine.is_ready and service.store_file.is_there and await service.store_watch.is_answering()
        if not is_ready or not await service.engine.backend.is_reachable():
            raise ApiError(503, "This server accepts no questions.", code="not_ready")
        return Health(status="ready")

    @routes.get("/metrics", response_class=Response, responses={**REFUSALS, 200: {"content": {"text/plain": {}}}})
    async def metrics(_: MayAll) -> Response:
        """Give what the server counts, for Prometheus; it is the same for all tenants and names no user."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes
