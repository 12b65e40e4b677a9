"""``personaplug serve`` as a process of its own, which is killed, and which is asked to stop."""

import re
import signal
import socket
import threading
import time

import httpx2
import pytest

from personaplug.cli.main import main
from personaplug.config import read_toml
from personaplug.plug.run import RunConfig
from personaplug.store.persona_store import PersonaStore
from tests import processes
from tests.serving.running import copy_of
from tests.serving.vllm_server import vllm_like

ITEM = {"input": "a talk about x", "output": "yes"}
CHAT = {"model": "llama", "user": "dee", "messages": [{"role": "user", "content": "about x"}]}


@pytest.fixture
def start(place, tmp_path):
    """Start the command on a copy of the store; give its process, a client and the store."""
    own, started, clients = copy_of(place, tmp_path / "own"), [], []

    def begin(*more):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        words = "-v", "serve", "--run", own.runs["llama"], "--store", own.store, "--open", "--port", port, *more
        started.append(processes.start(main, [str(word) for word in words], stderr=tmp_path / "stderr"))
        clients.append(httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60))
        wait_until_ready(clients[-1])
        return started[-1], clients[-1], own.store

    yield begin
    for process in started:
        process.kill()
        process.join()
    for client in clients:
        client.close()


def wait_until_ready(client):
    for _ in range(2_000):
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.ConnectError:
            time.sleep(0.05)
    raise AssertionError("it never got ready")


def keep_asking(client, stream):
    """Ask until the server is gone."""
    while True:
        try:
            client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 60, "stream": stream})
        except httpx2.TransportError:
            return


def keep_telling(client, acknowledged):
    """Tell of new items, two at a time, until the server is gone; note what was acknowledged."""
    for number in range(10_000):
        items = [{**ITEM, "id": f"{number}-{part}"} for part in "ab"]
        try:
            client.post("/v1/personas/new/history", json={"items": items}).raise_for_status()
        except httpx2.TransportError:
            return
        acknowledged.append(number)


@pytest.mark.timeout(600)  # most of it is two processes' imports, which take long on a busy machine
def test_after_a_kill_every_acknowledged_append_is_there_and_no_half_of_one_and_sigterm_drains(start, place, tmp_path):
    server, client, path = start()
    acknowledged = []
    busy = [threading.Thread(target=keep_asking, args=(client, stream)) for stream in (True, False)]
    busy.append(threading.Thread(target=keep_telling, args=(client, acknowledged)))
    for thread in busy:
        thread.start()
    while len(acknowledged) < 8:
        time.sleep(0.01)
    server.kill()
    for thread in busy:
        thread.join()
    server.join()
    assert server.exitcode == -signal.SIGKILL
    with PersonaStore.open(path) as store:
        held = {item.id for item in store.get("new").items}
    # The last append may be stored whole and its acknowledgement lost with the server.
    last = acknowledged[-1]
    told = {f"{number}-{part}" for number in range(last + 1) for part in "ab"}
    assert held - told in (set(), {f"{last + 1}-{part}" for part in "ab"})
    assert held >= told

    server, client, _ = start()
    assert client.get("/v1/personas/new").json()["items"] == len(held)
    drains(server, client)
    assert not path.with_name(f"{path.name}-wal").exists()  # the file alone holds all that was acknowledged
    with vllm_like(read_toml(RunConfig, place.runs["llama"] / "config.toml").backbone.model, name="llama") as behind:
        behind.pause = 0.02
        server, client, _ = start("--engine", "vllm", "--url", behind.url)
        drains(server, client)
        assert len(behind.bodies) == 1
    said = (tmp_path / "stderr").read_text()
    assert "Serving llama on http://127.0.0.1:" in said
    assert "Traceback" not in said
    assert "about x" not in said


def drains(server, client):
    """Ask a server to stop while it answers: the answer is brought to its end, and then it is gone."""
    with client.stream("POST", "/v1/chat/completions", json={**CHAT, "max_tokens": 200, "stream": True}) as response:
        events = response.iter_lines()
        next(events)
        server.terminate()
        answered = [event for event in events if event]
    assert answered[-1] == "data: [DONE]"
    assert re.search(r'"finish_reason":"(length|stop)"', answered[-2])
    server.join()
    assert server.exitcode == 0
    with pytest.raises(httpx2.ConnectError):
        client.get("/healthz")
