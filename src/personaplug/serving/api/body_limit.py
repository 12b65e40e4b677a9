"""The way in: who may not come in has no body read, and the bodies of the others have a bounded size and time."""

import asyncio
from collections import deque
from ipaddress import ip_address, ip_network

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personaplug.serving.api.access import Access
from personaplug.serving.api.errors import ApiError, too_often
from personaplug.serving.engine.limits import Limits, RateLimiter

_FOR_ALL = ("/healthz", "/readyz", "/openapi.json")
"""Paths that are answered without a key."""


class BoundedBodies:
    """Lets requests in by their key and reads each one's body before anything else does, or refuses it.

    Args:
        app: What gets the request then.
        limits: How large bodies may be, and how long they may take.
        access: Whoever it does not know has no body read.
        rates: Of each key; every request with it counts, whatever becomes of it.
        strangers: Of each address, for requests without a key and for those that no route takes.
    """

    def __init__(
        self, app: ASGIApp, *, limits: Limits, access: Access, rates: RateLimiter, strangers: RateLimiter
    ) -> None:
        self.app = app
        self.limits = limits
        self.access = access
        self.rates = rates
        self.strangers = strangers
        self._held = 0  # bytes of all bodies under way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        chunks: deque[bytes] = deque()
        before = 0
        try:
            self._let_in(scope)
            async with asyncio.timeout(self.limits.body_seconds):
                is_whole = await self._read(scope, receive, into=chunks)
        except TimeoutError:
            refusal = ApiError(408, "The body took too long to arrive.", code="slow_body")
            await refusal.response(scope, receive, send)
        except ApiError as refusal:
            await refusal.response(scope, receive, send)
        else:
            before = sum(map(len, chunks))
            if is_whole:
                await self.app(scope, _replaying(chunks, receive), send)
        finally:
            self._held -= max(before, sum(map(len, chunks)))

    def _let_in(self, scope: Scope) -> None:
        """Refuse who has no key, or has called too often."""
        path = scope["path"]
        if path in _FOR_ALL:
            return
        if not path.startswith("/v1/") and path != "/metrics":
            self._take(self.strangers, _address(scope))  # no route takes it
            return
        authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        try:
            caller = self.access.caller(authorization)
        except ApiError:
            self._take(self.strangers, _address(scope))
            raise
        self._take(self.rates, caller.key_id)

    def _take(self, limiter: RateLimiter, name: str) -> None:
        if wait := limiter.take(name):
            raise too_often(wait)

    async def _read(self, scope: Scope, receive: Receive, *, into: deque[bytes]) -> bool:
        """Read the body where a route may want one; False where the client left before its end."""
        if scope["method"] != "POST" or not scope["path"].startswith("/v1/"):
            return True
        most = self.limits.body_bytes
        refusal = ApiError(413, f"A body has at most {most:,} bytes.", code="body_too_large")
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > most:
            raise refusal
        size, is_more = 0, True
        while is_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            chunk, is_more = message.get("body", b""), message.get("more_body", False)
            into.append(chunk)
            self._held += len(chunk)
            size += len(chunk)
            if size > most:
                raise refusal
            if self._held > self.limits.bodies_bytes:
                busy = "Too much is being sent to this server at once."
                raise ApiError(503, busy, code="too_many_bodies", headers={"Retry-After": "1"})
        return True


def _address(scope: Scope) -> str:
    """Name where a request comes from; of IPv6 the network, in which one machine may have any address."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ip_address(host)
    except ValueError:
        return str(host)
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else host


def _replaying(chunks: deque[bytes], receive: Receive) -> Receive:
    """Give the body once, then what comes after it."""
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        body = chunks.popleft() if chunks else b""
        is_given = not chunks
        return {"type": "http.request", "body": body, "more_body": not is_given}

    return replay
