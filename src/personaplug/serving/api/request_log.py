"""One line a request, which names its route and never what is in it."""

import logging
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personaplug.serving.engine.metrics import Metrics

log = logging.getLogger(__name__)

_GONE = 499
"""Of a request that got no answer, because its client left; nobody reads this status."""


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
        status, begun = _GONE, monotonic()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except BaseException:
            status = 500 if status == _GONE else status
            raise
        finally:
            # The router writes down which route it took; a path would name the user.
            route = getattr(scope.get("route"), "path", "none")
            self.metrics.requests.labels(route, str(status)).inc()
            log.info("%s %s %d in %.0f ms", scope["method"], route, status, 1000 * (monotonic() - begun))


class RepeatFilter(logging.Filter):
    """Lets each warning pass once a minute, be it raised for every connection; errors of ours always.

    Of asyncio, which says at error's level that no connection can be taken in, errors too.
    """

    def __init__(self, *, seconds: float = 60.0) -> None:
        super().__init__()
        self.seconds = seconds
        self._passed: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Hold back what was said a short while ago, by the first line of what it says."""
        if record.levelno < logging.WARNING or (record.levelno > logging.WARNING and record.name != "asyncio"):
            return True
        key, now = str(record.msg).partition("\n")[0], monotonic()
        is_new = now - self._passed.get(key, -self.seconds) >= self.seconds
        if is_new:
            self._passed[key] = now
        return is_new
