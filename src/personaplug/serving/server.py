"""A running server: the application on a socket, until it is told to stop."""

import logging
import socket
from contextlib import closing
from ipaddress import ip_address

import uvicorn

from personaplug.errors import ConfigError
from personaplug.serving.access import OpenAccess
from personaplug.serving.app import create_app
from personaplug.serving.request_log import WithoutWords
from personaplug.serving.service import Service

_DRAIN_SECONDS = 120
_CONNECTIONS = 2_048


def serve(service: Service, place: socket.socket) -> None:
    """Answer on a socket until SIGTERM or SIGINT; what was accepted before is answered first.

    Args:
        service: Open; it is closed at the end.
        place: As :func:`listen` makes it.
    """
    with closing(service):
        build_server(service).run(sockets=[place])


def build_server(service: Service) -> uvicorn.Server:
    """Put the application of an open service into a server."""
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    logging.getLogger("uvicorn.access").disabled = True  # its lines name users; ours name routes
    for name in ("uvicorn.error", "asyncio", "personaplug.serving.refusals"):
        logging.getLogger(name).addFilter(WithoutWords())
    return uvicorn.Server(config)


def listen(service: Service, *, host: str, port: int) -> socket.socket:
    """Take a port, before models are loaded; 0 for any that is free.

    Raises:
        ConfigError: Access is open and others than this machine could call.
        OSError: The port is taken.
    """
    if isinstance(service.access, OpenAccess) and not _is_loopback(host):
        raise ConfigError(
            f"without keys a server listens on this machine alone, not on {host}",
            hint="--host 127.0.0.1, or keys: personaplug keys add --help",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def address_of(place: socket.socket) -> str:
    """Write where a socket listens, as an address for a browser."""
    host, port = place.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
