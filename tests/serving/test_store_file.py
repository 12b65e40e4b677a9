"""A store whose file is not there any more, or another: nothing is acknowledged that nobody will find."""

import logging
import shutil

import httpx2
import pytest

from personaplug.errors import StoreError
from personaplug.serving.api.access import OpenAccess
from personaplug.serving.api.service import Service
from personaplug.store.persona_store import PersonaStore
from tests.serving.running import LIMITS, copy_of, running

CHAT = {"model": "llama", "user": "dee", "max_tokens": 4, "messages": [{"role": "user", "content": "x"}]}
ITEM = {"input": "x", "output": "y"}
CALLS = [
    ("POST", "/v1/personas/dee/history", {"items": [ITEM]}),
    ("DELETE", "/v1/personas/dee", None),
    ("GET", "/v1/personas/dee", None),
    ("GET", "/v1/personas/dee/export", None),
    ("POST", "/v1/personas/dee/explain", {"model": "llama", "input": "x"}),
    ("POST", "/v1/chat/completions", CHAT),
]


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_a_store_that_was_replaced_or_deleted_is_neither_read_nor_written(place, tmp_path, caplog, change):
    own = copy_of(place, tmp_path / "own")
    copy = shutil.copy(own.store, tmp_path / "copy.db")
    with running(own, tmp_path) as server, httpx2.Client(base_url=server.url, headers=server.headers()) as client:
        assert client.post("/v1/personas/new/history", json={"items": [ITEM]}).status_code == 200
        if change == "replaced":
            copy.replace(own.store)
        else:
            own.store.unlink()
        for method, path, body in CALLS:
            answer = client.request(method, path, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_replaced")
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert ["was replaced or deleted" in record.getMessage() for record in told] == [True]
    if change == "replaced":
        with PersonaStore.open(own.store) as store:
            assert store.summary("dee").items == 30


def test_an_append_during_which_the_store_is_replaced_is_not_acknowledged(place, tmp_path):
    own = copy_of(place, tmp_path / "own")
    with running(own, tmp_path) as server:
        held = server.service._stores.submit(lambda store: store).result()
        append = held.append

        def replaced(*arguments):
            done = append(*arguments)
            shutil.copy(own.store, tmp_path / "copy.db").replace(own.store)
            return done

        held.append = replaced
        headers = server.headers()
        answer = httpx2.post(f"{server.url}/v1/personas/dee/history", json={"items": [ITEM]}, headers=headers)
        assert answer.json()["error"]["code"] == "store_replaced"


def test_a_forget_changes_the_file_and_does_not_replace_it(place, tmp_path):
    own = copy_of(place, tmp_path / "own")
    with running(own, tmp_path) as server, httpx2.Client(base_url=server.url, headers=server.headers()) as client:
        for user in ("ada", "ben"):
            assert client.delete(f"/v1/personas/{user}").status_code == 200
        with PersonaStore.open(own.store) as another:
            another.forget("cyd")
        assert client.get("/v1/personas/dee").status_code == 200


def test_a_service_that_cannot_open_leaves_no_thread_and_may_be_closed_twice(place, tmp_path):
    own = copy_of(place, tmp_path / "own")
    service = Service(own, OpenAccess(), limits=LIMITS)
    own.store.unlink()
    with pytest.raises(StoreError, match="no such store"):
        service.open()
    service.close()
    shutil.copy(place.store, own.store)
    service.open()
    service.close()
    service.close()
    assert not own.store.with_name(f"{own.store.name}-wal").exists()
