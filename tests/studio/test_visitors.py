"""A studio on a port, as a browser reaches it: its own page may ask, a page of another port may not."""

import json
import logging
import threading
import time

import httpx2
import pytest
from starlette.datastructures import Headers

from personaplug.ports import address_of, listen
from personaplug.studio.server import build_app, server
from personaplug.studio.sessions import Sessions
from personaplug.studio.visitors import is_foreign

SECRET = "a-name-that-was-typed"


@pytest.fixture
def url(opening):
    """Open the studio on a port of loopback."""
    with listen("127.0.0.1", 0) as bound, Sessions(opening) as sessions:
        running = server(build_app(sessions, host="127.0.0.1"))
        thread = threading.Thread(target=running.run, args=([bound],))
        thread.start()
        while not running.started:
            time.sleep(0.01)
        yield address_of(bound)
        running.should_exit = True
        thread.join()


def choose(client, user):
    """Choose a user as the page does, and wait until that is done or has failed."""
    config = client.get("/config").json()
    step = next(each for each in config["dependencies"] if each["targets"][0][1] == "input")
    asked = {"data": [user, ""], "fn_index": step["id"], "session_hash": "here", "trigger_id": step["targets"][0][0]}
    joined = client.post("/gradio_api/queue/join", json=asked)
    if joined.status_code != 200:
        return joined.status_code, ""
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "here"}) as events:
        for line in events.iter_lines():
            if "process_completed" in line:
                return 200, json.loads(line.removeprefix("data:"))
    raise AssertionError("it never ended")


@pytest.mark.parametrize("foreign", ["http://localhost:3000", "http://127.0.0.1:8888", "https://evil.example", "null"])
def test_a_page_from_elsewhere_may_ask_nothing(url, foreign):
    own = {"Origin": url}
    with httpx2.Client(base_url=url, timeout=30) as client:
        for path in ("/config", "/gradio_api/info", "/"):
            for method in ("GET", "OPTIONS"):
                asking = {"Origin": foreign, "Access-Control-Request-Method": "POST"}
                refused = client.request(method, path, headers=asking)
                assert refused.status_code == 403
                assert "access-control-allow-origin" not in refused.headers
        for path in ("/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/upload"):
            assert client.post(path, json={}, headers={"Origin": foreign}).status_code == 403
            assert client.post(path, json={}, headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
            assert client.post(path, json={}, headers=own).status_code != 403
        assert client.get("/config", headers=own).status_code == 200


def test_what_is_typed_reaches_no_log_line_though_gradio_fails_at_it(url, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with httpx2.Client(base_url=url, timeout=30, headers={"Origin": url}) as client:
        status, ended = choose(client, SECRET)
    assert status == 200
    assert ended["success"] is False
    assert "a step failed" in caplog.text
    assert "preprocess" in caplog.text
    said = capfd.readouterr()
    for text in (caplog.text, said.out, said.err):
        assert SECRET not in text


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("POST", {}, False),
        ("POST", {"origin": "http://127.0.0.1:7860"}, False),
        ("POST", {"origin": "http://127.0.0.1:7861"}, True),
        ("POST", {"origin": "http://127.0.0.1"}, True),
        ("GET", {"origin": "null"}, True),
        ("POST", {"origin": "https://studio.example", "sec-fetch-site": "same-origin"}, False),
        ("POST", {"origin": "http://127.0.0.1:7860", "sec-fetch-site": "cross-site"}, True),
        ("GET", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, False),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, False),
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, True),
    ],
)
def test_a_request_is_foreign_where_the_browser_says_that_another_page_makes_it(method, headers, expected):
    assert is_foreign(Headers({"host": "127.0.0.1:7860", **headers}), method=method) is expected
