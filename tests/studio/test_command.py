import sys

import pytest
from click.testing import CliRunner

from personaplug.cli.main import cli
from personaplug.studio import server


@pytest.fixture
def run(plug, tmp_path):
    plug.save_pretrained(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def served(monkeypatch):
    """Where the command would have served, until a person pressed Ctrl+C."""
    addresses = []

    class Server:
        def __init__(self, app):
            assert app.routes

        def run(self, sockets):
            addresses.extend(taken.getsockname() for taken in sockets)
            raise KeyboardInterrupt

    monkeypatch.setattr(server, "server", Server)
    return addresses


def studio(*words):
    return CliRunner().invoke(cli, ["studio", *map(str, words)])


def test_the_studio_is_open_on_loopback_until_it_is_closed(run, path, served):
    result = studio("--run", run, "--store", path, "--port", 0)
    assert result.exit_code == 0, result.stderr
    ((host, port),) = served
    assert host == "127.0.0.1"
    assert f"http://127.0.0.1:{port}" in result.stderr
    assert "Warning" not in result.stderr


def test_who_opens_it_to_others_is_warned(run, path, served):
    result = studio("--run", run, "--store", path, "--port", 0, "--host", "0.0.0.0")
    assert [host for host, _ in served] == ["0.0.0.0"]
    assert "Warning: whoever can reach 0.0.0.0 can read, change and forget users here." in result.stderr


def test_a_folder_that_is_no_run_is_our_error(tmp_path, path):
    result = studio("--run", tmp_path, "--store", path, "--port", 0)
    assert result.exit_code == 1
    assert "is no run" in result.stderr


def test_without_gradio_the_extra_is_named(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.startswith("personaplug.studio")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gradio", None)
    result = studio("--run", tmp_path)
    assert result.exit_code == 1
    assert "pip install 'personaplug[studio]'" in result.stderr
