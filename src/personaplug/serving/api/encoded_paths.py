"""Paths in which a user's id may have any sign, a slash too."""

from starlette.types import ASGIApp, Receive, Scope, Send

_PREFIX = b"/v1/personas/"


class QuotedUsers:
    """Leaves paths of personas percent-encoded, as they came: decoded, ``a%2Fb`` would be two parts of a path.

    Args:
        app: What gets the request then.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request."""
        raw = scope.get("raw_path") or b""
        if raw.startswith(_PREFIX) and raw.isascii():
            scope["path"] = raw.decode("ascii")  # in place: the router writes its route beside it, for the log
        await self.app(scope, receive, send)
