"""The proxy repeats a question whose replica went away, in however many pieces it came, and never an append."""

import json
import socket
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.serving.replicas import found_haproxy, local, proxied

BODY = b'{"model": "any", "messages": []}'
QUESTION, APPEND = "/v1/chat/completions", "/v1/personas/ada/history"


class Answering(BaseHTTPRequestHandler):
    """A replica that is ready and answers."""

    def do_GET(self):
        self.answer(b"ready")

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        self.answer(b"answered")

    def answer(self, text):
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class GoingAway(Answering):
    """A replica that is ready, and gone once it has seen the head of a question."""

    def do_POST(self):
        self.server.asked += 1
        self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def replica(kind):
    """Have a replica answer in threads."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.asked = 0
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def replicas(tmp_path):
    """Put the proxy before two that go away and one that answers; give its port and them."""
    haproxy = found_haproxy()
    with ExitStack() as entered:
        servers = [entered.enter_context(replica(kind)) for kind in (GoingAway, GoingAway, Answering)]
        ports = [server.server_address[1] for server in servers]
        port = entered.enter_context(proxied(haproxy, local(ports), tmp_path))
        wait_until_it_listens(port)
        yield port, servers


def wait_until_it_listens(port):
    """Wait until the proxy takes connections: it counts a replica as ready until it finds out otherwise."""
    for _ in range(300):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise AssertionError("the proxy does not listen")


def said(port, path, *pieces):
    """Send a request piece by piece; give all that comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = f"POST {path} HTTP/1.1\r\nhost: any\r\ncontent-length: {sum(map(len, pieces))}\r\n\r\n"
        for piece in (head.encode(), *pieces):
            connection.sendall(piece)
            time.sleep(0.1)
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


@pytest.mark.parametrize("pieces", [[BODY], [BODY[:9], BODY[9:]]], ids=["head, body", "head, body in two"])
def test_a_question_is_asked_until_a_replica_answers_in_however_many_pieces_it_comes(replicas, pieces):
    port, (one, other, answering) = replicas
    answers = [said(port, QUESTION, *pieces) for _ in range(4)]
    assert [answer.split(" ")[1] for answer in answers] == ["200"] * 4
    assert (answering.asked, one.asked + other.asked > 0) == (4, True)


def test_an_append_is_sent_once_and_its_sender_told_that_nobody_knows(replicas):
    port, servers = replicas
    answers = [said(port, APPEND, BODY) for _ in range(4)]
    assert {answer.split(" ")[1] for answer in answers} == {"200", "502"}
    assert sum(server.asked for server in servers) == 4
    (lost,) = {answer for answer in answers if answer.split(" ")[1] == "502"}
    assert json.loads(lost.partition("\r\n\r\n")[2])["error"]["code"] == "replica_lost"


def test_where_no_replica_is_ready_the_proxy_says_so_in_the_form_of_the_api(replicas):
    port, servers = replicas
    for server in servers:
        server.shutdown()
        server.server_close()
    lost = said(port, QUESTION, BODY)
    assert lost.split(" ")[1] == "503"
    assert json.loads(lost.partition("\r\n\r\n")[2])["error"]["code"] == "not_ready"
