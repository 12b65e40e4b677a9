"""Who may come to the page: its own visitors, and no page of another address that is open in their browser."""

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class SameOriginOnly:
    """Refuse what a browser sends for a page from elsewhere, be it from another port of this machine.

    A browser says itself for which page it asks (``Sec-Fetch-Site``); an older one at least where that page is from
    (``Origin``). Programs say neither, and are let in. The rule is that of Go's ``http.CrossOriginProtection``, but it
    holds for reading too: https://pkg.go.dev/net/http#CrossOriginProtection.

    Args:
        app: Whose page it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in or refuse it."""
        if scope["type"] == "lifespan" or not is_foreign(Headers(scope=scope), method=scope.get("method", "")):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            refusal = PlainTextResponse("This page answers to no other.", status_code=403)
            await refusal(scope, receive, send)


def is_foreign(headers: Headers, *, method: str) -> bool:
    """Tell whether a request is made for a page that is not this one; to follow a link to this one is not."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site is None:
        return origin is not None and origin.partition("://")[2] != headers.get("host")
    is_link = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    return site not in ("same-origin", "none") and not is_link
