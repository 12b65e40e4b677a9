"""The server as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from personaplug.errors import PersonaPlugError
from personaplug.ports import LOOPBACK
from personaplug.serving.api.access import OpenAccess
from personaplug.serving.api.body_limit import BoundedBodies
from personaplug.serving.api.completion_routes import completion_routes
from personaplug.serving.api.encoded_paths import QuotedUsers
from personaplug.serving.api.errors import ApiError, refuse, refuse_invalid, refuse_unrouted
from personaplug.serving.api.examples import RESPONSES
from personaplug.serving.api.health_routes import health_routes
from personaplug.serving.api.persona_routes import persona_routes
from personaplug.serving.api.request_log import RequestLog
from personaplug.serving.api.service import Service


def create_app(service: Service) -> FastAPI:
    """Make the application of an open service; it answers while its lifespan lasts, and closes the service then."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.stop()
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="personaplug",
        description="A frozen language model that answers in each user's own way.",
        version=version("personaplug"),
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # its pages would load scripts from elsewhere
        redoc_url=None,
    )
    for routes in (completion_routes(service), persona_routes(service), health_routes(service)):
        app.include_router(routes)
    _say_errors_as_openai_does(app)
    _wrap(app, service)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]  # as FastAPI's documentation has it
    return app


def _say_errors_as_openai_does(app: FastAPI) -> None:
    for kind in (ApiError, PersonaPlugError, Exception):
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(RequestValidationError, refuse_invalid)
    app.add_exception_handler(HTTPException, refuse_unrouted)


def _wrap(app: FastAPI, service: Service) -> None:
    """Put around the routes what every request passes; what is added last is passed first."""
    app.add_middleware(QuotedUsers)
    app.add_middleware(
        BoundedBodies,
        limits=service.limits,
        access=service.access,
        rates=service.rates,
        strangers=service.strangers,
    )
    if isinstance(service.access, OpenAccess):
        # A page in a browser may reach this machine by a name of its own, but not by these.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))
    app.add_middleware(RequestLog, metrics=service.metrics)


def _described(app: FastAPI) -> dict[str, Any]:
    """Describe the API, with examples, and without FastAPI's own form of a validation error, which is never sent."""
    if app.openapi_schema is None:
        described = FastAPI.openapi(app)
        for path in described["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        schemas = described["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for name, example in RESPONSES.items():
            schemas[name]["example"] = example
    return app.openapi_schema or {}
