"""What the page promises to the network: it answers here alone, and asks nobody."""

import re
import socket
from contextlib import nullcontext

import pytest
from starlette.testclient import TestClient

from personaplug.errors import ConfigError
from personaplug.ports import listen
from personaplug.studio.server import build_app
from personaplug.studio.sessions import Sessions


@pytest.fixture
def client(opening):
    with Sessions(opening) as sessions, TestClient(build_app(sessions, host="127.0.0.1")) as client:
        client.base_url = "http://127.0.0.1:7860"
        yield client


def test_the_browser_is_told_to_load_from_here_alone(client):
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "http" not in policy
    assert "*" not in policy


def test_no_font_or_script_is_named_elsewhere(client):
    page, theme = client.get("/").text, client.get("/theme.css").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page) + re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", theme)
    assert loaded
    assert [each for each in loaded if each.startswith(("http", "//"))] == []
    assert '"run_history":false' in page.replace(" ", "")


def test_on_loopback_no_other_name_is_answered(client):
    assert client.get("/", headers={"host": "localhost:7860"}).status_code == 200
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_no_user_is_in_the_page_before_someone_asks_for_the_list(client):
    assert "dee" not in client.get("/config").json().__repr__().split("'")


def test_a_port_that_is_taken_is_our_error():
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} cannot be listened on") as caught:
            listen("127.0.0.1", port)
        assert "--port" in caught.value.hint
    with pytest.raises(ConfigError, match="cannot be listened on"):
        listen("192.0.2.1", 0)
    with listen("::1", 0) if socket.has_ipv6 else nullcontext():
        pass
