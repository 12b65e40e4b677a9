"""The page on a port: nothing comes from outside of this process, and nothing goes there."""

import asyncio
import logging
import sys
from types import SimpleNamespace
from typing import Any

import gradio as gr
import gradio.queueing
import gradio.routes
import uvicorn
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personaplug.ports import LOOPBACK, is_loopback
from personaplug.redaction import ErrorRedaction, redacted
from personaplug.studio.page import Page
from personaplug.studio.sessions import Sessions
from personaplug.studio.theme import style, theme
from personaplug.studio.visitors import SameOriginOnly

log = logging.getLogger(__name__)

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # gradio's page is made of both
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'self'",
        "object-src 'none'",
    )
)
"""What the browser is told: load from here alone. No setting of gradio's can get around it."""


def build_app(sessions: Sessions, *, host: str) -> FastAPI:
    """Make the web application.

    Args:
        sessions: Where what visitors do is done.
        host: Where it listens. On loopback it answers to no other name, so that no web page can reach it by a name of
            its own that points here.
    """

    async def built() -> FastAPI:
        return _mounted(Page(sessions), host=host)

    return asyncio.run(built())  # where no event loop runs, gradio makes one for each part, and closes none


def _mounted(page: Page, *, host: str) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _keep_words_out_of_the_log()
    app.add_middleware(SameOriginOnly)
    app.add_middleware(SecurityHeaders)
    if is_loopback(host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK), www_redirect=False)
    gr.mount_gradio_app(
        app,
        page.blocks,
        path="/",
        theme=theme(),
        css=style(),
        footer_links=[],
        run_history=False,  # it would keep what was typed in the browser
        show_error=False,
        max_file_size=1,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
    )
    return app


def server(app: FastAPI) -> uvicorn.Server:
    """Make the server; it logs no requests, and open pages do not hold up its end."""
    settings: dict[str, Any] = {"log_config": None, "access_log": False, "timeout_graceful_shutdown": 1}
    return uvicorn.Server(uvicorn.Config(app, **settings))


def _keep_words_out_of_the_log() -> None:
    """Have gradio and uvicorn tell of an error where it happened alone: its words may be what somebody typed."""
    redaction = SimpleNamespace(print_exc=_tell)
    for module in (gradio.queueing, gradio.routes):
        module.traceback = redaction
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(ErrorRedaction())


def _tell() -> None:
    kind, _, place = sys.exc_info()
    log.error("a step failed\n%s", redacted(kind, place))


class SecurityHeaders:
    """Send :data:`POLICY` with every answer.

    Args:
        app: Whose answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"no-referrer")]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        await self.app(scope, receive, send_with_policy)
