"""What is known of users, over HTTP, and that it can be changed and forgotten."""

import json
import shutil
import sqlite3
import threading
from urllib.parse import quote

import openai
import pytest

from personaplug.backbone.base import GenerationConfig
from personaplug.data.log import read_log
from personaplug.records import Profile
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import load_task
from tests.serving.running import wait_for

SECRET = "harbour-at-night"
ITEM = {"id": "1", "time": "2024-05-01T12:30:00Z", "input": f"about {SECRET}", "output": "lantern"}


@pytest.fixture
def call(http, server):
    """Call a persona's route: method, user, what follows the user in the path, body."""

    def request(method, user, rest="", body=None, *, caller="all"):
        path = f"/v1/personas/{user}{rest}"
        return http.request(method, path, json=body, headers=server.headers(caller))

    return request


def tell(call, user, *items, caller="all"):
    response = call("POST", user, "/history", {"items": list(items)}, caller=caller)
    assert response.status_code == 200, response.text
    return response.json()


def answer(client, user):
    asked = {"model": "llama", "max_tokens": 12, "messages": [{"role": "user", "content": "about x"}]}
    response = client.chat.completions.with_raw_response.create(user=user, **asked)
    return response.headers["X-Personaplug-Persona"], response.parse().choices[0].message.content


def test_a_persona_is_shown_without_text_unless_it_is_asked_for(call, server):
    shown = call("GET", "dee").json()
    assert (shown["user"], shown["items"], shown["history"]) == ("dee", 30, None)
    assert shown["first"] < shown["last"]
    assert shown["encoder"] == server.service.histories.layout.fingerprint
    assert "talk" not in json.dumps(shown)
    assert len(call("GET", "dee", "?text=true").json()["history"]) == 30


@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("GET", "/export"), ("DELETE", "")])
def test_of_an_unknown_user_nothing_is_known(call, method, rest):
    response = call(method, "nobody", rest)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "user_not_found"


def test_what_is_told_is_known_to_the_next_answer(call, client):
    generic = answer(client, "newcomer")
    assert generic[0] == "generic"
    assert tell(call, "newcomer", ITEM) == {"user": "newcomer", "new_items": 1, "items": 1}
    first = answer(client, "newcomer")  # which also brings the history into memory
    tell(call, "newcomer", *({**ITEM, "id": str(day), "input": f"y {day}", "output": "no"} for day in range(2, 20)))
    second = answer(client, "newcomer")
    assert first[0] == second[0] == "own"
    assert second[1] != first[1] != generic[1]


def test_the_answer_is_as_if_the_store_had_always_held_what_was_told(call, server, client):
    tell(call, "late", ITEM)
    answer(client, "late")
    tell(call, "late", {**ITEM, "id": "2", "output": "quay"})
    assert answer(client, "late")[1] == server.ask_plug(
        "llama",
        lambda plug: plug.generate("about x", user="late", config=GenerationConfig(max_new_tokens=12)),
    )
    known = server.service._models.submit(lambda models: models.personas.get("late")).result()
    with PersonaStore.open(server.service.paths.store) as store:
        assert known == store.get("late")


@pytest.mark.parametrize("item", [ITEM, {"id": "a", "input": "x", "output": "y"}, {**ITEM, "id": None}])
def test_to_tell_an_item_again_changes_nothing(call, item):
    user = f"again-{item['id']}"
    assert tell(call, user, item)["new_items"] == 1
    before = call("GET", user, "/export").text
    assert tell(call, user, item) == {"user": user, "new_items": 0, "items": 1}
    assert call("GET", user, "/export").text == before


def test_an_item_told_anew_takes_the_place_of_its_first(call):
    tell(call, "changing", ITEM)
    assert tell(call, "changing", {**ITEM, "output": "buoy"})["items"] == 1
    (row,) = map(json.loads, call("GET", "changing", "/export").text.splitlines())
    assert row["output"] == "buoy"


def test_an_export_is_a_log_of_all_that_was_told(call):
    items = [{**ITEM, "id": str(day), "input": f"雨 {day}\n\u2028"} for day in range(3)]
    tell(call, "exported", *items)
    response = call("GET", "exported", "/export")
    assert response.headers["content-type"] == "application/x-ndjson"
    rows = [json.loads(line) for line in response.text.split("\n")[:-1]]
    assert [{**row, "user_id": None} for row in rows] == [{**item, "user_id": None} for item in items]


def test_an_export_is_a_log_that_can_be_read_even_of_a_nul(call, tmp_path):
    tell(call, "broken", {**ITEM, "input": "a\0b"})
    (tmp_path / "log.jsonl").write_bytes(call("GET", "broken", "/export").content)
    (row,) = read_log(tmp_path / "log.jsonl", load_task("log"))
    assert (row.item.input, row.item.output) == ("a\ufffdb", ITEM["output"])


def test_of_two_items_of_one_id_in_one_request_the_later_counts(call):
    told = tell(call, "twice", {**ITEM, "output": "first"}, {**ITEM, "output": "second"})
    assert (told["new_items"], told["items"]) == (1, 1)
    (row,) = map(json.loads, call("GET", "twice", "/export").text.splitlines())
    assert row["output"] == "second"


def test_a_history_has_a_longest_length(call, server):
    most = server.service.limits.items_per_user
    tell(call, "full", *({**ITEM, "id": str(day)} for day in range(most)))
    response = call("POST", "full", "/history", {"items": [{**ITEM, "id": "one more"}]})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "history_full"
    assert tell(call, "full", ITEM)["items"] == most


def test_an_item_without_an_id_is_one_item_in_whatever_zone_its_time_is_told(call):
    item = {"input": "x", "output": "y"}
    for time in ("2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00"):
        told = tell(call, "traveller", {**item, "time": time})
    assert told["items"] == 1


def test_an_append_waits_for_no_answer(call, server):
    """Let the models' thread be busy: neither an append nor a forget needs it."""
    free = threading.Event()
    busy = server.service._models.submit(lambda _: free.wait(20))
    try:
        assert tell(call, "meanwhile", {**ITEM, "input": "what nobody has written before"})["items"] == 1
        assert call("DELETE", "meanwhile").status_code == 200
        assert not busy.done()
    finally:
        free.set()


def test_who_is_forgotten_while_they_are_explained_is_not_found(call, server, monkeypatch):
    """Once before the history is read, and once between its items and their vectors."""
    asked, answers, free = {"model": "llama", "input": "about x"}, [], threading.Event()
    tell(call, "leaving", ITEM)
    busy = server.service._models.submit(lambda _: free.wait(20))
    asking = threading.Thread(target=lambda: answers.append(call("POST", "leaving", "/explain", asked)))
    asking.start()
    wait_for(server.service._models._pool._work_queue.qsize, bool)
    assert call("DELETE", "leaving").status_code == 200
    free.set()
    asking.join()
    assert busy.result()

    tell(call, "leaving", ITEM)
    batcher = server.service.engine.models.by_name["llama"].plug.batcher
    seen, told = batcher.seen, [ITEM]

    def forget_first(example):
        profile = seen(example)
        while told:
            told.pop()
            assert call("DELETE", "leaving").status_code == 200
        return profile

    monkeypatch.setattr(batcher, "seen", forget_first)
    answers.append(call("POST", "leaving", "/explain", asked))
    assert not told
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[1].json()["error"]["code"] == "user_not_found"


def test_explained_memories_are_the_plugs(call, server):
    asked = {"model": "llama", "input": "about x", "top": 3}
    explained = call("POST", "dee", "/explain", asked).json()
    memories = server.ask_plug("llama", lambda plug: plug.explain("about x", user="dee"))
    assert [memory["id"] for memory in explained["memories"]] == [memory.item.id for memory in memories[:3]]
    assert [memory["weight"] for memory in explained["memories"]] == pytest.approx(
        [memory.weight for memory in memories[:3]], abs=1e-4
    )
    assert explained["items"] == len(memories)
    assert explained["memories"][0]["input"] is None
    with_text = call("POST", "dee", "/explain", {**asked, "text": True}).json()
    assert with_text["memories"][0]["input"] == memories[0].item.input


@pytest.mark.parametrize(
    ("user", "model", "status"), [("nobody", "llama", 404), ("dee", "gpt", 404), ("dee", "tuned", 400)]
)
def test_what_cannot_be_explained_is_refused(call, user, model, status):
    assert call("POST", user, "/explain", {"model": model, "input": "x"}).status_code == status


def test_who_is_forgotten_is_generic_again_and_no_byte_of_them_stays(call, client, server, tmp_path):
    store = server.service.paths.store
    tell(call, "leaving", *({**ITEM, "id": f"{SECRET}-{day}"} for day in range(40)))
    assert answer(client, "leaving")[0] == "own"
    assert is_in_files(store, b"leaving")
    assert call("DELETE", "leaving").json() == {"user": "leaving", "items": 40}
    assert answer(client, "leaving")[0] == "generic"
    assert call("GET", "leaving").status_code == 404
    assert not is_in_files(store, b"leaving")
    assert not is_in_files(store, f"{SECRET}-7".encode())
    kept = server.service._models.submit(lambda models: models.personas.get("leaving")).result()
    assert kept == Profile("leaving")
    shutil.copy(store, tmp_path / "copy.db")
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def is_in_files(store, word):
    return any(word in path.read_bytes() for path in store.parent.glob(f"{store.name}*"))


@pytest.mark.parametrize("user", ["a/b", "../../etc/passwd", "..", "x/history", "a b", "雨?#", "%2F"])
def test_a_users_id_may_have_any_sign_of_a_text(http, server, user):
    path = f"/v1/personas/{quote(user, safe='').replace('.', '%2E')}"
    told = http.post(f"{path}/history", json={"items": [ITEM]}, headers=server.headers())
    assert told.status_code == 200, told.text
    assert http.get(path, headers=server.headers()).json()["user"] == user
    assert http.delete(path, headers=server.headers()).json()["items"] == 1


@pytest.mark.parametrize(
    "item",
    [
        {**ITEM, "id": "x" * 513},
        {**ITEM, "id": ""},
        {**ITEM, "time": "2024-05-01T12:30:00"},
        {**ITEM, "time": "0001-01-01T00:00:00+23:00"},
        {**ITEM, "time": "9999-12-31T23:59:59-23:00"},
        {**ITEM, "input": "x" * 65_537},
        {**ITEM, "vectors": [0.0]},
        {"id": "1", "input": "no output"},
    ],
)
def test_an_item_that_is_none_is_refused_and_nothing_of_the_append_is_stored(call, item):
    response = call("POST", "refused", "/history", {"items": [ITEM, item]})
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith("items.1")
    assert call("GET", "refused").status_code == 404


def test_openais_own_client_reaches_personas_too(client):
    told = client.post("/personas/by-client/history", cast_to=object, body={"items": [ITEM]})
    assert told["items"] == 1
    assert client.delete("/personas/by-client", cast_to=object)["items"] == 1
    with pytest.raises(openai.NotFoundError):
        client.get("/personas/by-client", cast_to=object)
