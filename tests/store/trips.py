"""A wire between a store and its Postgres server that counts how often the one waits for the other."""

import socket
import threading
import time
from contextlib import contextmanager, suppress


class Wire:
    """Passes bytes on, both ways.

    Args:
        port: Of the server.
        delay: Seconds by which each answer comes later, as on a network.
    """

    def __init__(self, port, *, delay=0.0):
        self.port, self.delay = port, delay
        self.trips = 0
        self._is_answered = True
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listening]

    def url(self, url):
        """Lead an address over this wire."""
        return url.replace(f":{self.port}/", f":{self._listening.getsockname()[1]}/")

    def accept(self):
        """Take connections until the wire is cut."""
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            self._open += [client, server]
            for ends in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def cut(self):
        """Close all."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _pass_on(self, source, target, is_asked):
        while True:
            try:
                if not (sent := source.recv(1 << 20)):
                    return
                if is_asked:
                    self.trips += self._is_answered
                else:
                    time.sleep(self.delay)
                self._is_answered = not is_asked
                target.sendall(sent)
            except OSError:
                return


@contextmanager
def counted(port, *, delay=0.0):
    """Lay a wire to a server, and cut it in the end."""
    wire = Wire(port, delay=delay)
    thread = threading.Thread(target=wire.accept)
    thread.start()
    try:
        yield wire
    finally:
        wire.cut()
        thread.join()
