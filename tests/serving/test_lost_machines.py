"""A machine that is lost closes no connection: what the others then do, and after how long."""

import os
import threading
import time
from pathlib import Path

import httpx2
import numpy as np
import pytest

from personaplug.cli.main import main
from personaplug.serving.api.keys import RIGHTS, KeyFile
from personaplug.store.persona_store import PersonaStore
from tests.another_machine import another_machine
from tests.factories import make_item
from tests.postgres_server import postgres_server
from tests.serving.replicas import copied, found_haproxy, free_ports, local, proxied, served

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("PERSONAPLUG_LOSE_MACHINES"), reason="two minutes, as root: PERSONAPLUG_LOSE_MACHINES=1"
    ),
    pytest.mark.timeout(400),
]
CHAT = "/v1/chat/completions"
ASKED = {"model": "llama", "user": "ada", "max_tokens": 6, "messages": [{"role": "user", "content": "about x"}]}
DROPPED, UNDONE, REFUSED = 15, 26, 10
"""Seconds, as docs/replicas.md promises them: until the proxy leaves a lost replica out, until Postgres undoes what a
lost machine left unfinished, and until a question is refused while Postgres is away."""
MARGIN = 8
"""Seconds more, where this machine has other work."""


@pytest.fixture
def machine():
    with another_machine() as machine:
        yield machine


@pytest.fixture
def postgres(machine):
    with postgres_server(also=machine.here, network=f"{machine.here}/30") as server:
        yield server


@pytest.fixture
def url(place, postgres):
    return copied(place.store, postgres)


@pytest.fixture
def secret(tmp_path):
    return KeyFile(tmp_path / "keys.json").add("all", rights=RIGHTS)


def serve_there(machine, place, url, folder):
    """Start a replica on the other machine; give its port once it is ready, as seen from there."""
    (port,) = free_ports(1)
    words = "serve", "--run", place.runs["llama"], "--store", url.replace("127.0.0.1", machine.here)
    words = *words, "--keys", folder / "keys.json", "--host", machine.address, "--port", port
    machine.start(main, [str(word) for word in (*words, "--requests-per-minute", 0)], stderr=folder / "there")
    wait_there(machine, port, folder, until=200)
    return port


def look(address, path, out):
    """Ask what a server is ready for, and note the status."""
    Path(out).write_text(str(httpx2.get(f"http://{address}{path}", timeout=30).status_code))


def wait_there(machine, port, folder, *, until, seconds=60):
    """Wait until the replica there says so."""
    end, out = time.monotonic() + seconds, folder / "status"
    while True:
        out.write_text("")
        machine.start(look, f"{machine.address}:{port}", "/readyz", str(out), stderr=folder / "looks").join()
        if out.read_text() == str(until):
            return
        assert time.monotonic() < end, (out.read_text(), (folder / "there").read_text()[-2000:])
        time.sleep(0.2)


def ask_all_the_time(url, secret, is_over, told):
    """Ask one question after the other; note the status, when each began and how long it took."""
    with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {secret}"}, timeout=120) as client:
        while not is_over.is_set():
            began = time.monotonic()
            status = client.post(CHAT, json=ASKED).status_code
            told.append((status, began, time.monotonic() - began))


def test_questions_to_a_lost_replica_are_answered_by_another_and_no_later_one_waits(
    machine, place, url, secret, tmp_path
):
    there = serve_there(machine, place, url, tmp_path)
    is_over, told = threading.Event(), []
    with served(place.runs["llama"], url, tmp_path, count=2) as (ports, _):
        addresses = [f"{machine.address}:{there}", *local(ports)]
        with proxied(found_haproxy(), addresses, tmp_path) as port:
            proxy = f"http://127.0.0.1:{port}"
            asking = [threading.Thread(target=ask_all_the_time, args=(proxy, secret, is_over, told)) for _ in range(6)]
            time.sleep(8)  # the proxy counts those that are not ready yet as lost, and looks again
            for thread in asking:
                thread.start()
            time.sleep(4)
            machine.cut()
            lost = time.monotonic()
            time.sleep(DROPPED + UNDONE)
            is_over.set()
            for thread in asking:
                thread.join()
    assert {status for status, *_ in told} == {200}
    longest = max(took for *_, took in told)
    assert UNDONE - MARGIN < longest < UNDONE + MARGIN  # some were under way on the lost one
    assert max(took for _, began, took in told if began > lost + DROPPED) < MARGIN


def append(store, user):
    """Append one item, with vectors that the store holds of others."""
    vectors = store.vectors(store.get("ada").latest(1))
    store.append(user, [make_item(0)], vectors.astype(np.float32))


def append_and_stay(url, out, talks):
    """Begin an append, and never end it: silent, or asking the server for more all the time."""
    with PersonaStore.open(url) as store, store.together():
        append(store, "held")
        Path(out).write_text("held")
        while True:
            time.sleep(0 if talks else 1000)
            store.summary("ada")


@pytest.mark.parametrize("talks", [False, True], ids=["in silence", "in the middle of words"])
def test_an_append_that_a_lost_machine_left_unfinished_is_undone(machine, url, tmp_path, talks):
    held, far = tmp_path / "held", url.replace("127.0.0.1", machine.here)
    machine.start(append_and_stay, far, str(held), talks, stderr=tmp_path / "there")
    end = time.monotonic() + 60
    while not held.exists():
        assert time.monotonic() < end, (tmp_path / "there").read_text()
        time.sleep(0.1)
    machine.cut()
    began = time.monotonic()
    with PersonaStore.open(url) as store:
        append(store, "other")
        waited = time.monotonic() - began
        assert {"held", "other"} & set(store.users()) == {"other"}
    assert UNDONE - MARGIN < waited < UNDONE + MARGIN


@pytest.mark.usefixtures("secret")
def test_a_replica_that_lost_postgres_says_so_and_comes_back_by_itself(machine, place, url, tmp_path):
    port = serve_there(machine, place, url, tmp_path)
    machine.cut()
    began = time.monotonic()
    wait_there(machine, port, tmp_path, until=503)
    assert time.monotonic() - began < REFUSED + MARGIN
    machine.mend()
    wait_there(machine, port, tmp_path, until=200)
