"""A server whose histories are in Postgres."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx2
import pytest

from personaplug.store.address import store_address
from personaplug.store.copying import copy
from personaplug.store.persona_store import PersonaStore
from personaplug.store.postgres import connection
from tests.serving.running import running, wait_for

ASKED = {"model": "llama", "user": "dee", "max_tokens": 6, "messages": [{"role": "user", "content": "what?"}]}
ITEM = {"input": "x", "output": "y"}


def answer(client):
    return client.post("/v1/chat/completions", json=ASKED).json()["choices"][0]["message"]["content"]


@pytest.fixture
def in_postgres(place, postgres):
    """The place, with a copy of its store in Postgres."""
    url = postgres.url()
    with PersonaStore.open(place.store) as source, PersonaStore.open(url, layout=source.layout) as target:
        copy(source, target)
    return replace(place, store=store_address(url))


def test_it_answers_as_over_the_file_and_another_server_sees_what_one_is_told(place, in_postgres, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with running(place, tmp_path) as of_file, httpx2.Client(base_url=of_file.url, headers=of_file.headers()) as client:
        expected = answer(client)
    with (
        running(in_postgres, tmp_path / "one") as one,
        running(in_postgres, tmp_path / "other") as other,
        httpx2.Client(base_url=one.url, headers=one.headers(), timeout=30) as first,
        httpx2.Client(base_url=other.url, headers=other.headers(), timeout=30) as second,
    ):
        assert answer(first) == answer(second) == expected
        assert first.get("/readyz").status_code == 200
        assert first.post("/v1/personas/dee/history", json={"items": [ITEM]}).json()["new_items"] == 1
        assert second.get("/v1/personas/dee").json()["items"] == 31
        assert second.delete("/v1/personas/dee").status_code == 200
        assert first.get("/v1/personas/dee").status_code == 404


def ready(client):
    return client.get("/readyz").status_code


def told(client, number):
    return client.post("/v1/personas/new/history", json={"items": [{**ITEM, "id": str(number)}]})


def test_a_server_whose_postgres_is_away_is_not_ready_says_503_and_comes_back_by_itself(
    in_postgres, postgres, tmp_path, monkeypatch
):
    monkeypatch.setattr(connection, "_CONNECT_SECONDS", 1)
    with (
        running(in_postgres, tmp_path) as server,
        httpx2.Client(base_url=server.url, headers=server.headers(), timeout=30) as client,
    ):
        expected = answer(client)
        assert ready(client) == 200
        postgres.stop()
        try:
            assert wait_for(lambda: ready(client), lambda status: status != 200) == 503
            refused = [client.post("/v1/chat/completions", json=ASKED), told(client, 1)]
            assert [(each.status_code, each.json()["error"]["code"]) for each in refused] == 2 * [
                (503, "StoreAwayError")
            ]
        finally:
            postgres.start()
        wait_for(lambda: ready(client), lambda status: status == 200)
        assert answer(client) == expected
        assert told(client, 2).json()["items"] == 1


def test_a_batch_whose_store_is_away_fails_as_one_and_no_question_waits_for_it_again(
    in_postgres, postgres, tmp_path, monkeypatch
):
    monkeypatch.setattr(connection, "_CONNECT_SECONDS", 1)
    with running(in_postgres, tmp_path) as server:
        tried = []
        attempt = server.service.engine._attempt

        async def counted(replies):
            tried.append(len(replies))
            return await attempt(replies)

        server.service.engine._attempt = counted
        postgres.stop()
        try:
            with (
                ThreadPoolExecutor(8) as askers,
                httpx2.Client(base_url=server.url, headers=server.headers(), timeout=60) as client,
            ):
                asked = [askers.submit(client.post, "/v1/chat/completions", json=ASKED) for _ in range(8)]
                assert {each.result().status_code for each in asked} == {503}
        finally:
            postgres.start()
        assert sum(tried) == 8, tried


def test_what_one_server_is_told_is_in_the_next_explanation_of_another(in_postgres, tmp_path):
    weigh = {"model": "llama", "input": "about x"}
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with (
        running(in_postgres, tmp_path / "one") as one,
        running(in_postgres, tmp_path / "other") as other,
        httpx2.Client(base_url=one.url, headers=one.headers(), timeout=30) as first,
        httpx2.Client(base_url=other.url, headers=other.headers(), timeout=30) as second,
    ):
        for number in range(3):
            told(first, number)
            for client in (first, second):
                assert client.post("/v1/personas/new/explain", json=weigh).json()["items"] == number + 1
