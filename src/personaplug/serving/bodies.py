"""Bodies of bounded size that arrive in bounded time."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personaplug.serving.access import Access
from personaplug.serving.limits import Limits
from personaplug.serving.refusals import RefusalError


class BoundedBodies:
    """Reads each request's body before anything else does, or refuses it.

    Args:
        app: What gets the request then.
        limits: How large a body may be, and how long it may take.
        access: Whoever it does not know has no body read.
    """

    def __init__(self, app: ASGIApp, *, limits: Limits, access: Access) -> None:
        self.app = app
        self.limits = limits
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                body = await self._read(scope, receive)
        except TimeoutError:
            refusal = RefusalError(408, "The body took too long to arrive.", code="slow_body")
            await refusal.response(scope, receive, send)
        except RefusalError as refusal:
            await refusal.response(scope, receive, send)
        else:
            if body is not None:
                await self.app(scope, _replaying(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Read the body; None where the client left before its end."""
        most = self.limits.body_bytes
        refusal = RefusalError(413, f"A body has at most {most:,} bytes.", code="body_too_large")
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        if scope["path"].startswith("/v1/"):
            self.access.caller(headers.get(b"authorization", b"").decode("latin-1"))
        if announced.isdigit() and int(announced) > most:
            raise refusal
        body, is_more = bytearray(), True
        while is_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            is_more = message.get("more_body", False)
            if len(body) > most:
                raise refusal
        return bytes(body)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Give the body once, then what comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
