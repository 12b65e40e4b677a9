"""Where a server listens, and who can reach it there."""

import socket
from ipaddress import ip_address

from personaplug.errors import ConfigError

LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")
"""What this machine is called by itself: a web page of another name that points here is not let in."""


def is_loopback(host: str) -> bool:
    """Tell whether a host is reached from this machine alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Take a port, before anything is loaded that takes long; 0 for any that is free.

    Raises:
        ConfigError: It is taken, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {getattr(error, 'strerror', None) or error}",
            hint="choose another with --port; 0 takes any that is free",
        ) from error


def address_of(bound: socket.socket) -> str:
    """Write where a socket listens, as an address for a browser."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
