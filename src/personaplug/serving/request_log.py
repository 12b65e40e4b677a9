"""One line a request, which names its route and never what is in it."""

import logging
import traceback
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personaplug.serving.metrics import Metrics

log = logging.getLogger(__name__)


class RequestLog:
    """Counts and logs requests.

    Args:
        app: What answers them.
        metrics: Where they are counted.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, begun = 500, monotonic()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            # The router writes down which route it took; a path would name the user.
            route = getattr(scope.get("route"), "path", "none")
            self.metrics.requests.labels(route, str(status)).inc()
            log.info("%s %s %d in %.0f ms", scope["method"], route, status, 1000 * (monotonic() - begun))


class WithoutWords(logging.Filter):
    """Leaves of an error its kind and where it happened: its words may be a user's."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the words out of a record's error."""
        if record.exc_info and record.exc_info[1]:
            kind, _, place = record.exc_info
            record.exc_text = "".join(traceback.format_tb(place)) + (kind.__name__ if kind else "")
            record.exc_info = None
        return True
