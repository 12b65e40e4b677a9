"""``personaplug serve`` as a process of its own, which is killed, and which is asked to stop."""

import multiprocessing
import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

from personaplug.store.sqlite import PersonaStore
from tests.serving.running import copy_of

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["personaplug.cli.wiring", "personaplug.serving.server", "openai"])
ITEM = {"input": "a talk about x", "output": "yes"}
CHAT = {"model": "llama", "user": "dee", "messages": [{"role": "user", "content": "about x"}]}


def serve(place, port, err):
    """Run the command, in the process that this is called in."""
    from personaplug.cli.main import main

    sys.stderr = Path(err).open("a")  # noqa: SIM115 (until the process ends)
    main(["-v", "serve", "--run", str(place.runs["llama"]), "--store", str(place.store), "--open", "--port", str(port)])


@pytest.fixture
def start(place, tmp_path):
    """Start the command on a copy of the store; give its process, a client and where its stderr goes."""
    started = []
    own = copy_of(place, tmp_path / "own")

    def begin():
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = PROCESSES.Process(target=serve, args=(own, port, str(tmp_path / "stderr")))
        process.start()
        started.append(process)
        client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        wait_until_ready(process, client)
        return process, client, own.store

    yield begin
    for process in started:
        process.kill()
        process.join()


def wait_until_ready(process, client):
    for _ in range(10_000):
        assert process.is_alive()
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
def test_after_a_kill_every_acknowledged_append_is_there_and_no_half_of_one_and_sigterm_drains(start, tmp_path):
    process, client, path = start()
    acknowledged = []
    busy = [threading.Thread(target=keep_asking, args=(client, stream)) for stream in (True, False)]
    busy.append(threading.Thread(target=keep_telling, args=(client, acknowledged)))
    for thread in busy:
        thread.start()
    while len(acknowledged) < 8:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    for thread in busy:
        thread.join()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with PersonaStore.open(path) as store:
        held = {item.id for item in store.get("new").items}
    # The last append may be stored whole and its acknowledgement lost with the server.
    last = acknowledged[-1]
    told = {f"{number}-{part}" for number in range(last + 1) for part in "ab"}
    assert held - told in (set(), {f"{last + 1}-{part}" for part in "ab"})
    assert held >= told

    process, client, _ = start()
    assert client.get("/v1/personas/new").json()["items"] == len(held)
    with client.stream("POST", "/v1/chat/completions", json={**CHAT, "max_tokens": 200, "stream": True}) as response:
        events = response.iter_lines()
        next(events)
        os.kill(process.pid, signal.SIGTERM)
        answered = [event for event in events if event]
    assert answered[-1] == "data: [DONE]"
    assert re.search(r'"finish_reason":"(length|stop)"', answered[-2])
    process.join(timeout=60)
    assert process.exitcode in (0, -signal.SIGTERM)  # uvicorn raises the signal again when all is closed
    with pytest.raises(httpx2.ConnectError):
        client.get("/healthz")
    said = (tmp_path / "stderr").read_text()
    assert "Serving llama on http://127.0.0.1:" in said
    assert "Traceback" not in said
    assert "about x" not in said
