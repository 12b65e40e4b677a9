"""Three servers on one store in Postgres behind one address, of which one is killed under load."""

import json
import threading
import time
from collections import Counter
from contextlib import ExitStack
from itertools import count, product

import httpx2
import pytest

from personaplug.store.persona_store import PersonaStore
from tests.serving.replicas import copied, three_replicas

CHAT = "/v1/chat/completions"
ASKED = [
    {"model": "llama", "user": user, "max_tokens": 6, "messages": [{"role": "user", "content": f"about {what}"}]}
    for user, what in product(("nobody", "ada", "ben", "cyd", "dee"), "xyz")
]
GONE = 502


@pytest.fixture
def url(place, postgres):
    return copied(place.store, postgres)


@pytest.fixture
def replicas(place, url, tmp_path):
    with three_replicas(place.runs["llama"], url, tmp_path) as started:
        yield started


class Load:
    """Clients of the one address, who note whatever they are told.

    Args:
        replicas: Whom they call.
        expected: The text of the answer to each question.
    """

    def __init__(self, replicas, expected):
        self.replicas, self.expected = replicas, expected
        self.statuses, self.wrong, self.broken = Counter(), [], 0
        self.acknowledged = {f"teller-{number}": [] for number in range(3)}
        self.sent = {user: set() for user in self.acknowledged}
        self.is_over = threading.Event()

    def run(self, clients):
        """Begin with so many of each kind that asks, and all who tell."""
        works = [work for work in (self.ask, self.stream) for _ in range(clients)]
        self.threads = [threading.Thread(target=self._caught, args=(work,)) for work in works]
        self.threads += [threading.Thread(target=self._caught, args=(self.tell, user)) for user in self.acknowledged]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def ask(self, client, number):
        at = number % len(ASKED)
        response = client.post(CHAT, json=ASKED[at])
        self.statuses["ask", response.status_code] += 1
        if response.status_code == 200:
            self._compare(at, response.json()["choices"][0]["message"]["content"])

    def stream(self, client, number):
        at, texts, is_whole = number * 7 % len(ASKED), [], False
        try:
            with client.stream("POST", CHAT, json={**ASKED[at], "stream": True}) as response:
                self.statuses["stream", response.status_code] += 1
                if response.status_code != 200:
                    return
                for line in response.iter_lines():
                    is_whole = is_whole or line == "data: [DONE]"
                    if line.startswith("data: {"):
                        delta = json.loads(line.removeprefix("data: "))["choices"][0]["delta"]
                        texts.append(delta.get("content") or "")
        except httpx2.RemoteProtocolError:
            is_whole = False
        if is_whole:
            self._compare(at, "".join(texts))
        else:
            self.broken += 1

    def tell(self, client, number, user):
        item = {"id": str(number), "input": f"a talk about {number}", "output": "yes"}
        self.sent[user].add(item["id"])
        response = client.post(f"/v1/personas/{user}/history", json={"items": [item]})
        self.statuses["tell", response.status_code] += 1
        if response.status_code != 200:
            return
        self.acknowledged[user].append(item["id"])
        seen = client.get(f"/v1/personas/{user}")
        self.statuses["look", seen.status_code] += 1
        if seen.status_code == 200 and seen.json()["items"] < len(self.acknowledged[user]):
            self.wrong.append(f"{user}: {seen.json()['items']} after {len(self.acknowledged[user])} were acknowledged")

    @property
    def told(self):
        return sum(map(len, self.acknowledged.values()))

    def _compare(self, at, text):
        if text != self.expected[at]:
            self.wrong.append((ASKED[at], text))

    def _caught(self, work, *more):
        try:
            with self.replicas.client() as client:
                for number in count():
                    if self.is_over.is_set():
                        return
                    work(client, number, *more)
        except Exception as error:
            self.wrong.append(error)


def text_of(client, asked):
    return client.post(CHAT, json=asked).json()["choices"][0]["message"]["content"]


def tell_each_in_turn(clients):
    """Append to a user by each server, after all have the user in memory; all know it, and answer alike."""
    asked = {**ASKED[0], "user": "zed"}
    for at, client in enumerate(clients):
        client.post("/v1/personas/zed/history", json={"items": [{"input": "about x", "output": f"{at}"}]})
        answers = [each.post(CHAT, json=asked) for each in clients]
        assert {each.headers["X-Personaplug-Persona"] for each in answers} == {"own"}
        assert len({each.json()["choices"][0]["message"]["content"] for each in answers}) == 1
        weigh = {"model": "llama", "input": "about x"}
        held = [each.post("/v1/personas/zed/explain", json=weigh).json()["items"] for each in clients]
        assert held == 3 * [at + 1]


def wait_for_appends(load, more):
    wanted, until = load.told + more, time.monotonic() + 150
    while load.told < wanted:
        assert time.monotonic() < until, (load.told, load.statuses, load.wrong)
        time.sleep(0.02)


@pytest.mark.timeout(600)  # most of it is three processes' starts, which take long on a busy machine
def test_what_one_replica_is_told_the_others_know_and_a_kill_under_load_loses_and_falsifies_nothing(replicas, url):
    with ExitStack() as opened:
        clients = [opened.enter_context(replicas.client(each)) for each in replicas.urls]
        expected = [text_of(clients[0], asked) for asked in ASKED]
        assert len(set(expected)) > 3
        tell_each_in_turn(clients)
    load = Load(replicas, expected)
    load.run(clients=3)
    try:
        wait_for_appends(load, 9)
        replicas.kill(1)
        wait_for_appends(load, 18)
    finally:
        load.end()
    assert load.wrong == []
    refused = {key: number for key, number in load.statuses.items() if key[1] != 200}
    assert set(refused) <= {("tell", GONE)}
    # No more than one request of each client was under way when the replica was killed.
    assert sum(refused.values()) + load.broken <= len(load.threads)
    with PersonaStore.open(url) as store:
        for user, acknowledged in load.acknowledged.items():
            held = {item.id for item in store.get(user).items}
            assert set(acknowledged) <= held <= load.sent[user]
