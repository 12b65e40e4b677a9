"""``personaplug serve`` as a process of its own, which is killed, and which is asked to stop."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import httpx2
import pytest

from personaplug.config import read_toml
from personaplug.plug.run import RunConfig
from personaplug.store.sqlite import PersonaStore
from tests.serving.running import copy_of
from tests.serving.vllm_server import vllm_like

ITEM = {"input": "a talk about x", "output": "yes"}
CHAT = {"model": "llama", "user": "dee", "messages": [{"role": "user", "content": "about x"}]}

NURSERY = """
import json, os, sys
import personaplug.cli.wiring, personaplug.serving.server
from personaplug.cli.main import main
for line in sys.stdin:
    if (child := os.fork()) == 0:
        main(json.loads(line))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs commands, each in a process of its own: a line of words in, its process id and then its exit code out. All that
they import is imported once."""


@pytest.fixture
def start(place, tmp_path):
    """Start the command on a copy of the store; give its process id, a client and the store."""
    own, started, clients = copy_of(place, tmp_path / "own"), [], []
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (tmp_path / "stderr").open("w") as stderr:
        nursery = subprocess.Popen([sys.executable, "-c", NURSERY], stderr=stderr, **options)

    def begin(*more):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        words = "-v", "serve", "--run", own.runs["llama"], "--store", own.store, "--open", "--port", port, *more
        nursery.stdin.write(json.dumps([str(word) for word in words]) + "\n")
        nursery.stdin.flush()
        child = int(nursery.stdout.readline())
        started.append(child)
        client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        clients.append(client)
        wait_until_ready(client)
        return child, client, own.store

    begin.exit_code = lambda: int(nursery.stdout.readline())
    yield begin
    nursery.stdin.close()
    for child in started:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    nursery.wait()
    nursery.stdout.close()
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
    child, client, path = start()
    acknowledged = []
    busy = [threading.Thread(target=keep_asking, args=(client, stream)) for stream in (True, False)]
    busy.append(threading.Thread(target=keep_telling, args=(client, acknowledged)))
    for thread in busy:
        thread.start()
    while len(acknowledged) < 8:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    for thread in busy:
        thread.join()
    assert start.exit_code() == -signal.SIGKILL
    with PersonaStore.open(path) as store:
        held = {item.id for item in store.get("new").items}
    # The last append may be stored whole and its acknowledgement lost with the server.
    last = acknowledged[-1]
    told = {f"{number}-{part}" for number in range(last + 1) for part in "ab"}
    assert held - told in (set(), {f"{last + 1}-{part}" for part in "ab"})
    assert held >= told

    child, client, _ = start()
    assert client.get("/v1/personas/new").json()["items"] == len(held)
    drains(child, client, start)
    with vllm_like(read_toml(RunConfig, place.runs["llama"] / "config.toml").backbone.model, name="llama") as behind:
        behind.pause = 0.02
        child, client, _ = start("--engine", "vllm", "--url", behind.url)
        drains(child, client, start)
        assert len(behind.bodies) == 1
    said = (tmp_path / "stderr").read_text()
    assert "Serving llama on http://127.0.0.1:" in said
    assert "Traceback" not in said
    assert "about x" not in said


def drains(child, client, start):
    """Ask a server to stop while it answers: the answer is brought to its end, and then it is gone."""
    with client.stream("POST", "/v1/chat/completions", json={**CHAT, "max_tokens": 200, "stream": True}) as response:
        events = response.iter_lines()
        next(events)
        os.kill(child, signal.SIGTERM)
        answered = [event for event in events if event]
    assert answered[-1] == "data: [DONE]"
    assert re.search(r'"finish_reason":"(length|stop)"', answered[-2])
    assert start.exit_code() in (0, -signal.SIGTERM)  # uvicorn raises the signal again when all is closed
    with pytest.raises(httpx2.ConnectError):
        client.get("/healthz")
