"""A package index on this machine that holds one wheel, counts how often it is asked for, and can break off."""

import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PackageIndex:
    """What the index does.

    Attributes:
        asked: How often the wheel was asked for.
        begun_at: At which byte each of these began.
        breaks: How many more times to break off in the middle of the wheel.
        pauses: Whether to stop in the middle of the wheel until it may go on.
        paused: Set where it has stopped.
        goes_on: To be set to let it go on.
    """

    def __init__(self, wheel):
        self.wheel = wheel
        self.begun_at = []
        self.breaks = 0
        self.pauses = False
        self.paused = threading.Event()
        self.goes_on = threading.Event()
        self.url = ""

    @property
    def asked(self):
        return len(self.begun_at)

    def send_wheel(self, content, file, *, begin):
        """Send the wheel from a byte on, or as much of it as befits."""
        self.begun_at.append(begin)
        half = max(begin, len(content) // 2)
        file.write(content[begin:half])
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
            begin = int(self.headers.get("Range", "bytes=0-")[len("bytes=") :].partition("-")[0])
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.send_header("ETag", f'"{wheel.name}"')
            self.send_header("Content-Type", "application/octet-stream" if is_wheel else "text/html")
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            with suppress(ConnectionError):  # whoever asked was killed
                if is_wheel:
                    index.send_wheel(content, self.wfile, begin=begin)
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
