"""A running server: the application on a socket, until it is told to stop."""

import logging
import socket
from contextlib import closing

import uvicorn

from personaplug.errors import ConfigError
from personaplug.ports import is_loopback, listen
from personaplug.serving.access import OpenAccess
from personaplug.serving.app import create_app
from personaplug.serving.patience import protocol
from personaplug.serving.request_log import WithoutWords
from personaplug.serving.service import Service

_DRAIN_SECONDS = 120
_CONNECTIONS = 2_048


def serve(service: Service, bound: socket.socket) -> None:
    """Answer on a socket until SIGTERM or SIGINT; what was accepted before is answered first.

    Args:
        service: Open; it is closed at the end.
        bound: As :func:`listen_for` makes it.
    """
    with closing(service):
        build_server(service).run(sockets=[bound])


def build_server(service: Service) -> uvicorn.Server:
    """Put the application of an open service into a server."""
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        http=protocol(seconds=service.limits.head_seconds),
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    logging.getLogger("uvicorn.access").disabled = True  # its lines name users; ours name routes
    for name in ("uvicorn.error", "asyncio", "personaplug.serving.refusals"):
        logging.getLogger(name).addFilter(WithoutWords())
    return uvicorn.Server(config)


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
