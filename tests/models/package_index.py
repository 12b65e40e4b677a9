"""A package index on this machine that holds one wheel, counts how often it is asked for, and can break off."""

import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PackageIndex:
    """What the index does.

    Attributes:
        asked: How often the wheel was asked for.
        breaks: How many more times to break off in the middle of the wheel.
        pauses: Whether to stop in the middle of the wheel until it may go on.
        paused: Set where it has stopped.
        goes_on: To be set to let it go on.
    """

    def __init__(self, wheel):
        self.wheel = wheel
        self.asked = 0
        self.breaks = 0
        self.pauses = False
        self.paused = threading.Event()
        self.goes_on = threading.Event()
        self.url = ""

    def send_wheel(self, content, file):
        """Send the wheel, or as much of it as befits."""
        self.asked += 1
        half = len(content) // 2
        file.write(content[:half])
        file.flush()
        if self.pauses:
            self.paused.set()
            self.goes_on.wait(60)
        if self.breaks > 0:
            self.breaks -= 1
        else:
            file.write(content[half:])


@contextmanager
def serving(wheel):
    """Serve a wheel on a free port of this machine."""
    index = PackageIndex(wheel)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            is_wheel = self.path.endswith(".whl")
            page = f'<!DOCTYPE html><a href="/{wheel.name}">{wheel.name}</a>'.encode()
            content = wheel.read_bytes() if is_wheel else page
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream" if is_wheel else "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):  # whoever asked was killed
                if is_wheel:
                    index.send_wheel(content, self.wfile)
                else:
                    self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index.url = f"http://127.0.0.1:{server.server_port}/simple"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield index
    finally:
        index.goes_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
