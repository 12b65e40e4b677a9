"""An answer's head and body leave together: uvicorn writes each by itself, and a server killed between breaks both.

A proxy asks another server again only as long as it has passed nothing on.
"""

import asyncio
from typing import Any


class WholeWrites:
    """A transport that sends what is written in one turn of the event loop at once; all else is the transport's own.

    Args:
        transport: Of asyncio.
        loop: Whose turns count.
    """

    def __init__(self, transport: asyncio.Transport, *, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever the transport has)
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send data when this turn is over."""
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting.append(data)

    def close(self) -> None:
        """Close the connection once all is sent."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        data, self._waiting = b"".join(self._waiting), []
        if data and not self._transport.is_closing():
            self._transport.write(data)
