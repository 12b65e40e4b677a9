"""A server whose histories are in Postgres."""

from dataclasses import replace

import httpx2

from personaplug.store.address import store_address
from personaplug.store.copying import copy
from personaplug.store.persona_store import PersonaStore
from tests.serving.running import running

ASKED = {"model": "llama", "user": "dee", "max_tokens": 6, "messages": [{"role": "user", "content": "what?"}]}
ITEM = {"input": "x", "output": "y"}


def answer(client):
    return client.post("/v1/chat/completions", json=ASKED).json()["choices"][0]["message"]["content"]


def test_it_answers_as_over_the_file_and_another_server_sees_what_one_is_told(place, postgres, tmp_path):
    url = postgres.url()
    with PersonaStore.open(place.store) as source, PersonaStore.open(url, layout=source.layout) as target:
        copy(source, target)
    in_postgres = replace(place, store=store_address(url))
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
