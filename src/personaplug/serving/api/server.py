"""A running server: the application on a socket, until it is told to stop."""

import logging
import signal
import socket
from contextlib import closing
from types import FrameType

import uvicorn

from personaplug.errors import ConfigError
from personaplug.ports import is_loopback, listen
from personaplug.redaction import ErrorRedaction
from personaplug.serving.api import errors, timeouts
from personaplug.serving.api.access import OpenAccess
from personaplug.serving.api.app import create_app
from personaplug.serving.api.descriptors import ACCEPTED_AT_ONCE, room_for_connections
from personaplug.serving.api.request_log import RepeatFilter
from personaplug.serving.api.service import Service
from personaplug.serving.api.timeouts import Timeouts, protocol

_DRAIN_SECONDS = 120
_WAITING = 1_024  # connections that the system keeps until they are accepted


class Server(uvicorn.Server):
    """Uvicorn's server, which lets the process go on after its end: it has things to close, and ends in peace."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 (uvicorn's own signature)
        """Begin to stop; a second Ctrl+C waits for nobody. Uvicorn would raise the signal again at the end."""
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen; few connections are accepted at once, but many may wait for that."""
        await super().startup(sockets=sockets)
        for bound in sockets or ():
            bound.listen(_WAITING)


def serve(service: Service, bound: socket.socket) -> None:
    """Answer on a socket until SIGTERM or SIGINT; what was accepted before is answered first.

    Args:
        service: Open; it is closed at the end.
        bound: As :func:`listen_for` makes it.
    """
    with closing(service):
        build_server(service).run(sockets=[bound])


def build_server(service: Service) -> Server:
    """Put the application of an open service into a server."""
    limits, beside = service.limits, service.most_relayed
    waits = Timeouts(limits.head_seconds, limits.write_seconds, room_for_connections(beside=beside))
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        http=protocol(waits),
        access_log=False,
        server_header=False,
        backlog=ACCEPTED_AT_ONCE,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    logging.getLogger("uvicorn.access").disabled = True  # its lines name users; ours name routes
    _quieten()
    return Server(config)


def _quieten() -> None:
    """Keep words out of the log, and lines that a client could write there as often as it likes."""
    for name in ("uvicorn.error", "asyncio", errors.LOG):
        logging.getLogger(name).addFilter(ErrorRedaction())
    for name in ("uvicorn.error", "asyncio", timeouts.LOG):
        logging.getLogger(name).addFilter(RepeatFilter())


def listen_for(service: Service, *, host: str, port: int) -> socket.socket:
    """Take a port, before models are loaded; 0 for any that is free.

    Raises:
        ConfigError: The port is taken, or access is open and others than this machine could call.
    """
    if isinstance(service.access, OpenAccess) and not is_loopback(host):
        raise ConfigError(
            f"without keys a server listens on this machine alone, not on {host}",
            hint="--host 127.0.0.1, or keys: personaplug keys add --help",
        )
    return listen(host, port)
