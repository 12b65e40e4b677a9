"""The promises about who sees what, each tried by someone who would break it."""

import json
import logging
import socket
import time
from hashlib import sha256
from urllib.parse import quote, urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient

from personaplug.errors import ConfigError, StoreError
from personaplug.redaction import ErrorRedaction
from personaplug.serving.api import errors, requests, timeouts
from personaplug.serving.api.access import KeyAccess, OpenAccess
from personaplug.serving.api.app import create_app
from personaplug.serving.api.keys import KeyFile
from personaplug.serving.api.request_log import RepeatFilter
from personaplug.serving.api.server import listen_for
from personaplug.serving.api.service import ServedPaths, Service
from personaplug.serving.engine.limits import Limits
from tests.serving.running import running, wait_for

SECRET = "a word that only ada wrote"
ITEM = {"id": "1", "time": "2024-05-01T12:30:00Z", "input": SECRET, "output": "yes"}
CHAT = {"model": "llama", "max_tokens": 4, "messages": [{"role": "user", "content": SECRET}]}
CLIENTS = ("httpx2", "httpcore2", "httpcore", "openai", "asyncio")

ROUTES = {
    "generate": [("POST", "/v1/chat/completions", CHAT), ("GET", "/v1/models", None)],
    "read": [("GET", "/v1/personas/ada", None), ("GET", "/v1/personas/ada/export", None)],
    "write": [("POST", "/v1/personas/ada/history", {"items": [ITEM]}), ("DELETE", "/v1/personas/ada", None)],
    "admin": [("GET", "/metrics", None)],
}
REFUSED = [(right, caller) for right in ROUTES for caller in ("generate", "read", "write") if caller != right]


def tell(http, server, user, *, caller, item=ITEM):
    path = f"/v1/personas/{quote(user, safe='')}/history"
    return http.post(path, json={"items": [item]}, headers=server.headers(caller))


@pytest.mark.parametrize(("right", "caller"), REFUSED)
def test_a_key_without_the_right_is_refused(http, server, right, caller):
    for method, path, body in ROUTES[right]:
        response = http.request(method, path, json=body, headers=server.headers(caller))
        assert response.status_code == 403
        assert response.json()["error"]["type"] == "permission_error"


@pytest.mark.parametrize(
    "header",
    [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer pp-00000000-x"}, {"Authorization": "Basic eDp5"}],
)
@pytest.mark.parametrize("right", ROUTES)
def test_without_a_key_nothing_is_answered(http, header, right):
    for method, path, body in ROUTES[right]:
        response = http.request(method, path, json=body, headers=header)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"


def test_a_key_with_another_end_or_of_another_id_is_wrong(http, server):
    secret = server.secrets["all"]
    other = server.secrets["acme"]
    for wrong in (secret[:-1], secret + "x", other[:11] + secret[11:], secret.upper()):
        assert http.get("/v1/models", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
    assert http.get("/v1/models", headers=server.headers()).status_code == 200


def test_a_revoked_key_is_refused_from_the_next_request_on(http, server):
    secret = server.key_file.add("short", rights=["generate"])
    headers = {"Authorization": f"Bearer {secret}"}
    assert http.get("/v1/models", headers=headers).status_code == 200
    KeyFile(server.key_file.path).revoke(secret.split("-")[1])
    assert http.get("/v1/models", headers=headers).status_code == 401


def test_while_the_keys_cannot_be_read_nobody_is_let_in_and_that_is_said(http, server):
    path = server.key_file.path
    held = path.read_bytes()
    path.write_text("[]")
    try:
        response = http.get("/v1/models", headers=server.headers())
        assert (response.status_code, response.json()["error"]["code"]) == (503, "keys_unreadable")
        assert http.get("/v1/models").status_code == 401
    finally:
        path.write_bytes(held)
    assert http.get("/v1/models", headers=server.headers()).status_code == 200


def test_the_same_id_in_two_tenants_is_two_people(http, server):
    assert tell(http, server, "twin", caller="acme").status_code == 200
    for caller in ("other", "all"):
        assert http.get("/v1/personas/twin", headers=server.headers(caller)).status_code == 404
        assert http.delete("/v1/personas/twin", headers=server.headers(caller)).status_code == 404
        chat = http.post("/v1/chat/completions", json={**CHAT, "user": "twin"}, headers=server.headers(caller))
        assert chat.headers["X-Personaplug-Persona"] == "generic"
    own = http.post("/v1/chat/completions", json={**CHAT, "user": "twin"}, headers=server.headers("acme"))
    assert own.headers["X-Personaplug-Persona"] == "own"
    assert http.delete("/v1/personas/twin", headers=server.headers("acme")).json()["items"] == 1


@pytest.mark.parametrize("user", ["acme\x1fhidden", "acme/hidden", "\x1fhidden", "../acme/hidden", "acme%1Fhidden"])
def test_no_id_reaches_into_another_tenant(http, server, user):
    tell(http, server, "hidden", caller="acme")
    path = f"/v1/personas/{quote(user, safe='').replace('.', '%2E')}"
    for caller in ("all", "other"):
        assert http.get(path, headers=server.headers(caller)).status_code in (400, 404)
        chat = http.post("/v1/chat/completions", json={**CHAT, "user": user}, headers=server.headers(caller))
        assert chat.status_code == 400 or chat.headers["X-Personaplug-Persona"] == "generic"


@pytest.mark.parametrize(
    "path", ["/v1/personas/%ff", "/v1/personas/a%00b", "/v1/personas/%20", "/v1/personas/" + "x" * 600]
)
def test_a_path_that_names_nobody_is_refused(http, server, path):
    response = http.get(path, headers=server.headers())
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/v1/personas", "/v1/personas/", "/v1/personas/a/b/c", "/etc/passwd", "//v1/models"])
def test_a_path_that_is_none_is_not_found(http, server, path):
    assert http.get(path, headers=server.headers()).status_code in (400, 404)


def test_of_whom_the_server_does_not_know_no_body_is_read(server):
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname, url.port), timeout=10) as raw:
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert raw.recv(1000).startswith(b"HTTP/1.1 401")


def test_what_another_tenants_history_holds_changes_nothing(http, server):
    """A text that somebody's history holds has a vector in the store, of half the precision."""
    text = "what only one of them has ever written"
    asked = {"model": "llama", "input": text}
    tell(http, server, "own", caller="acme")

    def similarity():
        explained = http.post("/v1/personas/own/explain", json=asked, headers=server.headers("acme")).json()
        return [memory["similarity"] for memory in explained["memories"]]

    before = similarity()
    item = {"items": [{"id": "1", "input": text, "output": "yes"}]}
    assert http.post("/v1/personas/theirs/history", json=item, headers=server.headers("other")).status_code == 200
    with running(server.service.paths, server.key_file.path.parent / "fresh") as fresh:
        anew = httpx2.post(
            f"{fresh.url}/v1/personas/own/explain", json=asked, headers=fresh.headers("acme"), timeout=30
        )
    assert [memory["similarity"] for memory in anew.json()["memories"]] == before == similarity()


@pytest.mark.parametrize(
    "asked",
    [{"prompt": ["x" * 60_000] * 3}, {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}] * 17}]}],
)
def test_what_would_take_long_to_read_is_refused(http, server, asked, monkeypatch):
    monkeypatch.setattr(requests, "LONGEST_PROMPTS", 100_000)
    route = "completions" if "prompt" in asked else "chat/completions"
    response = http.post(f"/v1/{route}", json={"model": "llama", **asked}, headers=server.headers())
    assert response.status_code == 400


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_body_too_large_is_refused_before_it_is_read(server, is_announced):
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname, url.port), timeout=10) as raw:
        size = b"Content-Length: 99999999" if is_announced else b"Transfer-Encoding: chunked"
        key = b"Authorization: " + server.headers()["Authorization"].encode() + b"\r\n"
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + key + size + b"\r\n\r\n")
        if not is_announced:
            raw.sendall(b"40000\r\n" + b"x" * 0x40000 + b"\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_slow_head_is_given_up_on_a_fresh_connection_and_on_one_in_use(server, before):
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname, url.port), timeout=10) as raw:
        raw.sendall(before)
        if before:
            assert raw.recv(1000).startswith(b"HTTP/1.1 200")
        begun = time.monotonic()
        assert wait_for(lambda: is_closed(raw), bool)
        assert 0.5 < time.monotonic() - begun < 5


def test_a_slow_body_is_given_up(server):
    url = urlsplit(server.url)
    begun = time.monotonic()
    with socket.create_connection((url.hostname, url.port), timeout=10) as raw:
        key = b"Authorization: " + server.headers()["Authorization"].encode() + b"\r\n"
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + key + b"Content-Length: 100\r\n\r\n{")
        assert raw.recv(1000).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - begun < 8


def test_who_reads_slowly_holds_up_nobody(http, server):
    """Ask for a stream longer than what sockets hold, and read none of it."""
    url = urlsplit(server.url)
    asked = {"model": "llama", "user": "dee", "prompt": ["about x"] * 64, "stream": True, "max_tokens": 60}
    body, key = json.dumps(asked).encode(), server.headers()["Authorization"].encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: " + key
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect((url.hostname, url.port))
        raw.sendall(head + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body)
        assert wait_for(lambda: server.service.engine.is_idle, lambda is_idle: not is_idle) is False
        assert http.post("/v1/chat/completions", json=CHAT, headers=server.headers()).status_code == 200
        assert wait_for(lambda: server.service.engine.is_idle, bool)


def test_who_leaves_a_stream_or_an_answer_lets_go_of_it(server):
    def served():
        return server.service.metrics.registry.get_sample_value("personaplug_tokens_total", {"kind": "answer"}) or 0

    long = {**CHAT, "max_tokens": 200, "user": "dee", "messages": [{"role": "user", "content": "about x"}]}
    with httpx2.Client(base_url=server.url, headers=server.headers(), timeout=30) as once:
        whole = once.post("/v1/chat/completions", json=long).json()["usage"]["completion_tokens"]
        assert whole > 50
        assert wait_for(lambda: server.service.engine.is_idle, bool)
        before = served()
        with once.stream("POST", "/v1/chat/completions", json={**long, "stream": True}) as response:
            next(response.iter_bytes())
        assert wait_for(lambda: server.service.engine.is_idle, bool)
        assert served() - before < whole
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(f"{server.url}/v1/chat/completions", json=long, headers=server.headers(), timeout=0.03)
    assert wait_for(lambda: server.service.engine.is_idle, bool)
    assert served() - before < whole


def is_closed(raw):
    """Send one more sign of a head, and see whether anybody is there."""
    try:
        raw.sendall(b"G")
        return raw.recv(1000, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_no_log_line_and_no_metric_tells_what_a_user_wrote_or_who(http, server, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "personaplug")  # whatever a command before has set
    user = "a-telling-name"
    assert tell(http, server, user, caller="all").status_code == 200
    http.post("/v1/chat/completions", json={**CHAT, "user": user}, headers=server.headers())
    http.post("/v1/chat/completions", json={**CHAT, "user": user, "temperature": SECRET}, headers=server.headers())
    http.post(f"/v1/personas/{user}/explain", json={"model": "llama", "input": SECRET}, headers=server.headers())
    http.get(f"/v1/personas/{user}/none", headers=server.headers())
    http.delete(f"/v1/personas/{user}", headers=server.headers())
    http.delete(f"/v1/personas/{user}", headers=server.headers())
    metrics = http.get("/metrics", headers=server.headers()).text
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith(CLIENTS)]
    assert "POST /v1/personas/{user}/history 200" in caplog.text
    for text in (*lines, metrics):
        assert SECRET not in text
        assert user not in text
        assert server.secrets["all"] not in text
    assert 'personaplug_requests_total{route="/v1/personas/{user}",status="404"}' in metrics


def test_where_a_request_failed_is_logged_without_a_word_of_it(http, server, monkeypatch, caplog):
    async def fail(_):
        raise StoreError(f"of {SECRET} nothing can be read")

    monkeypatch.setattr(server.service.histories, "summary", fail)
    response = http.get("/v1/personas/a-telling-name", headers=server.headers())
    assert response.status_code == 503
    assert "its log says why" in response.text
    (failed,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "StoreError" in failed.exc_text
    assert "histories.summary" in failed.exc_text
    assert SECRET not in caplog.text
    assert "a-telling-name" not in "".join(
        record.getMessage() for record in caplog.records if "httpx2" not in record.name
    )


def test_an_error_is_logged_without_its_words(caplog):
    log = logging.getLogger("a server's own")
    log.addFilter(ErrorRedaction())
    try:
        raise RuntimeError(SECRET)
    except RuntimeError:
        log.exception("it failed")
    assert "RuntimeError" in caplog.text
    assert "test_security" in caplog.text
    assert SECRET not in caplog.text


def test_the_logs_that_could_hold_users_words_or_one_line_a_connection_have_their_filters(server):
    assert server.uvicorn  # it is built: whatever the modules are called, their logs have what keeps words out
    assert any(isinstance(each, ErrorRedaction) for each in errors.log.filters)
    assert any(isinstance(each, RepeatFilter) for each in timeouts.log.filters)


def test_no_response_repeats_what_a_refused_request_held(http, server):
    for wrong in ({**CHAT, "model": SECRET}, {**CHAT, "persona": SECRET}, {**CHAT, "temperature": SECRET}):
        response = http.post("/v1/chat/completions", json=wrong, headers=server.headers())
        assert response.status_code in (400, 404)
        assert SECRET not in response.text


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b"\xff", b'{"messages": [{"role": "user", "content": "\\ud800"}]}'])
def test_a_body_that_is_no_request_is_refused(http, server, body):
    headers = {**server.headers(), "Content-Type": "application/json"}
    response = http.post("/v1/chat/completions", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_keys_are_kept_as_hashes_in_a_file_of_their_owner_alone(server):
    held = server.key_file.path.read_text()
    for secret in server.secrets.values():
        assert secret.split("-", maxsplit=2)[2] not in held
        assert sha256(secret.encode()).hexdigest() in held
    assert server.key_file.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_without_keys_a_server_listens_on_this_machine_alone(tmp_path, host):
    service = Service(ServedPaths({}, tmp_path / "none.db"), OpenAccess())
    with pytest.raises(ConfigError, match="this machine alone"):
        listen_for(service, host=host, port=0)


def test_without_keys_a_name_that_a_web_page_may_have_is_refused(server):
    """A page can have its own name point to this machine (DNS rebinding), but it cannot call itself localhost."""
    open_service = Service(server.service.paths, OpenAccess(), limits=server.service.limits)
    open_service.engine, open_service.histories = server.service.engine, server.service.histories
    for access, host, status in (
        (OpenAccess(), "evil.example", 400),
        (OpenAccess(), "localhost:8000", 200),
        (KeyAccess(server.key_file), "any.example", 401),
    ):
        open_service.access = access
        client = TestClient(create_app(open_service), base_url=f"http://{host}")
        assert client.get("/v1/models").status_code == status


def test_without_keys_broken_bodies_count_like_other_requests_and_foreign_host_names_use_up_nothing(server):
    service = Service(server.service.paths, OpenAccess(), limits=Limits(requests_per_minute=3))
    service.engine, service.histories = server.service.engine, server.service.histories
    app = create_app(service)
    foreign, own = (TestClient(app, base_url=f"http://{host}") for host in ("evil.example", "localhost:8000"))
    json = {"Content-Type": "application/json"}
    answers = [
        client.post("/v1/completions", content=b"{", headers=json).status_code for client in [foreign] * 5 + [own] * 5
    ]
    assert answers == [400] * 5 + [400] * 3 + [429] * 2
