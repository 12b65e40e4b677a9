"""A server as a process that may open few files, against those who send, or hold open, as much as they can."""

import os
import resource
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from pydantic import ValidationError

from personaplug.cli.main import main
from personaplug.errors import ConfigError
from personaplug.serving.api import descriptors
from personaplug.serving.api.keys import KeyFile
from personaplug.serving.api.persona_schemas import HistoryRequest
from personaplug.serving.api.schemas import ChatRequest, CompletionRequest
from personaplug.serving.engine.limits import Limits
from tests import processes
from tests.serving.running import running, wait_for
from tests.serving.test_process import wait_until_ready

FILES = 768
CHAT = {"model": "llama", "max_tokens": 4, "messages": [{"role": "user", "content": "x"}]}
WRONG = {f"field {at}": at for at in range(100_000)}


def serve_with_few_files(words):
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    main(words)


@pytest.fixture(scope="module")
def flooded(place, tmp_path_factory):
    """Start it; give its process, its address, its log and a key."""
    folder = tmp_path_factory.mktemp("flooded")
    key = KeyFile(folder / "keys.json").add("one", rights=["generate"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = (
        "serve",
        "--run",
        place.runs["llama"],
        "--store",
        place.store,
        "--keys",
        folder / "keys.json",
        "--port",
        port,
    )
    process = processes.start(serve_with_few_files, [str(word) for word in words], stderr=folder / "stderr")
    url = f"http://127.0.0.1:{port}"
    with httpx2.Client(base_url=url, timeout=60) as client:
        wait_until_ready(client)
    yield process, url, folder / "stderr", {"Authorization": f"Bearer {key}"}
    process.kill()
    process.join()


def memory(process):
    """Give a process's resident memory in MB."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


@pytest.mark.timeout(300)
def test_of_those_without_a_key_no_body_comes_into_memory_on_any_route(flooded):
    process, url, _, headers = flooded
    calls = [
        ("POST", "/v1/chat/completions"),
        ("POST", "/nowhere"),
        ("PUT", "/v1/nowhere"),
        ("POST", "/healthz"),
        ("POST", "/metrics"),
    ]
    body, statuses = b"x" * 4_000_000, []

    def send(method, path):
        with suppress(httpx2.TransportError):  # closed before the end of the body
            statuses.append(httpx2.request(method, url + path, content=body, timeout=60).status_code)

    assert httpx2.post(f"{url}/v1/chat/completions", json=CHAT, headers=headers).status_code == 200
    before = memory(process)
    for _ in range(5):
        senders = [threading.Thread(target=send, args=call) for call in calls * 4]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert memory(process) - before < 60  # all of them have 400
    assert set(statuses) <= {401, 404, 405, 429}
    assert len(statuses) > 50
    assert httpx2.post(f"{url}/v1/chat/completions", json=CHAT, headers=headers).status_code == 200


@pytest.mark.timeout(300)
def test_more_idle_connections_than_files_leave_room_for_those_who_ask_and_are_told_of_once(flooded):
    _, url, log, headers = flooded
    before, idle = log.stat().st_size, []
    host = urlsplit(url)
    try:
        for _ in range(FILES + 150):
            idle.append(socket.create_connection((host.hostname, host.port), timeout=10))
        for _ in range(3):
            assert httpx2.post(f"{url}/v1/chat/completions", json=CHAT, headers=headers, timeout=30).status_code == 200
    finally:
        for each in idle:
            each.close()
    said = log.read_text()[before:]
    assert said.count("connections are open") == 1
    assert len(said) < 1_000


@pytest.mark.timeout(120)
def test_sigint_ends_it_in_peace(flooded):
    process, *_ = flooded
    os.kill(process.pid, signal.SIGINT)
    process.join(timeout=60)
    assert process.exitcode == 0


def test_so_many_connections_are_held_as_there_are_files_for(monkeypatch):
    limits, raised = {}, []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: raised.append(both))
    for now, beside, expected, raises in [
        ((1024, 1024), 0, 640, [(1024, 1024)]),
        ((1024, 1024), 257, 383, [(1024, 1024)]),
        ((256, 4096), 0, 2048, [(2432, 4096)]),
        ((256, resource.RLIM_INFINITY), 257, 2048, [(2689, resource.RLIM_INFINITY)]),
        ((1024, 2000), 0, 1616, [(2000, 2000)]),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 0, 2048, []),
    ]:
        limits["now"] = now
        raised.clear()
        assert descriptors.room_for_connections(beside=beside) == expected
        assert raised == raises
    limits["now"] = (256, 256)
    with pytest.raises(ConfigError, match="may open 256 files") as caught:
        descriptors.room_for_connections()
    assert caught.value.hint == "ulimit -n 2432"


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (ChatRequest, WRONG),
        (ChatRequest, {**CHAT, "messages": [{"role": "user", "content": "x", **WRONG}] * 2}),
        (ChatRequest, {**CHAT, "messages": [{}] * 100_000}),
        (ChatRequest, {**CHAT, "messages": [{"role": "user", "content": [{}] * 100_000}]}),
        (ChatRequest, {**CHAT, "stop": [1] * 100_000}),
        (ChatRequest, {**CHAT, "stream_options": WRONG}),
        (CompletionRequest, {"model": "llama", "prompt": [[]] * 100_000}),
        (HistoryRequest, {"items": [WRONG] * 1_000}),
        (HistoryRequest, {"items": [{f"field {at}": at for at in range(64)}] * 1_000}),
    ],
)
def test_of_a_body_that_is_wrong_everywhere_few_faults_are_looked_at(schema, body):
    with pytest.raises(ValidationError) as caught:
        schema.model_validate(body)
    assert caught.value.error_count() < 100


def test_who_is_refused_too_often_is_told_to_wait_and_whoever_has_a_key_is_not(place, tmp_path):
    limits = Limits(refusals_per_minute=5, requests_per_minute=8, body_bytes=200_000)
    with running(place, tmp_path, limits=limits) as server, httpx2.Client(base_url=server.url) as client:
        answers = [client.post(path, content=b"{") for path in ("/v1/models", "/nowhere") * 5]
        assert [answer.status_code for answer in answers] == [401, 404, 401, 404, 401, *[429] * 5]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 12
        assert client.get("/healthz").status_code == 200
        asked = [("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("GET", "/v1/nowhere"), ("GET", "/metrics")]
        headers = {**server.headers("generate"), "Content-Type": "application/json"}
        answers = [client.request(*call, content=b"{", headers=headers).status_code for call in asked * 3]
        assert answers == [200, 400, 404, 403, 200, 400, 404, 403, *[429] * 4]


def test_bodies_under_way_have_a_bounded_size_together(place, tmp_path):
    limits = Limits(body_bytes=200_000, bodies_bytes=300_000, requests_per_minute=0)
    with running(place, tmp_path, limits=limits) as server, httpx2.Client(base_url=server.url) as client:
        headers, url = {**server.headers(), "Content-Type": "application/json"}, urlsplit(server.url)
        key = b"Authorization: " + headers["Authorization"].encode() + b"\r\n"
        with socket.create_connection((url.hostname, url.port), timeout=10) as raw:
            raw.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n" + key + b"Content-Length: 190000\r\n\r\n")
            raw.sendall(b"x" * 180_000)
            time.sleep(0.5)  # lest it be the one that is refused

            def status():
                return client.post("/v1/completions", content=b"x" * 180_000, headers=headers).status_code

            assert wait_for(status, lambda now: now == 503)
        assert wait_for(status, lambda now: now == 400)


@pytest.mark.parametrize("is_long", [True, False])
def test_who_reads_nothing_of_an_answer_is_cut_off(place, tmp_path, is_long):
    """A long answer stops while it is written; of a short one only the end of the connection is left to write."""
    limits = Limits(write_seconds=0.5, head_seconds=0.5, requests_per_minute=0)
    with running(place, tmp_path, limits=limits) as server:
        url = urlsplit(server.url)
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            raw.connect((url.hostname, url.port))
            connections = server.uvicorn.server_state.connections
            assert wait_for(lambda: len(connections), bool)
            (connection,) = connections
            if not is_long:
                connection.transport.set_write_buffer_limits(high=10_000_000)
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
            ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n"
            raw.sendall((ask + b"\r\n") * 30 if is_long else ask + b"Connection: close\r\n\r\n")
            assert wait_for(connection.transport.get_write_buffer_size, bool)
            assert wait_for(lambda: connection.flow.write_paused, lambda is_paused: is_paused is is_long) is is_long
            assert wait_for(lambda: not connections, bool)


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_failure_of_the_server(server):
    def counted(status):
        value = server.service.metrics.registry.get_sample_value
        return value("personaplug_requests_total", {"route": "none", "status": status}) or 0

    url, before = urlsplit(server.url), {status: counted(status) for status in ("499", "500")}
    with socket.create_connection((url.hostname, url.port), timeout=10) as raw:
        key = b"Authorization: " + server.headers()["Authorization"].encode() + b"\r\n"
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + key + b"Content-Length: 100\r\n\r\n{")
        time.sleep(0.1)
    assert wait_for(lambda: counted("499"), lambda count: count > before["499"])
    assert counted("500") == before["500"]
