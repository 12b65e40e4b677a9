import json
import socket

import pytest

from personaplug.serving.api.keys import KeyFile
from tests.cli.conftest import done


@pytest.fixture
def serve(personaplug, tmp_path):
    """Try to serve what is not there: all that is refused here is refused before anything is loaded."""
    return lambda *words: personaplug("serve", "--run", tmp_path / "run", "--store", tmp_path / "no.db", *words)


@pytest.mark.parametrize("words", [(), ("--open", "--keys", "keys.json")])
def test_a_server_has_keys_or_is_expressly_open(serve, words):
    result = serve(*words)
    assert result.exit_code == 2
    assert "--open" in result.stderr


@pytest.mark.parametrize("words", [("--engine", "vllm"), ("--url", "http://localhost:8080")])
def test_an_address_goes_with_the_engine_that_is_there(serve, words):
    result = serve("--open", *words)
    assert result.exit_code == 2
    assert "--engine vllm and --url belong together" in result.stderr


def test_a_folder_of_adapters_goes_with_the_engine_that_loads_them(serve, tmp_path):
    result = serve("--open", "--adapters", tmp_path)
    assert result.exit_code == 2
    assert "--adapters goes with --engine vllm" in result.stderr


def test_an_open_server_is_for_this_machine_alone(serve):
    result = serve("--open", "--host", "0.0.0.0")
    assert result.exit_code == 1
    assert "this machine alone" in result.stderr


def test_a_folder_that_is_no_run_is_named(serve):
    result = serve("--open", "--port", 0)
    assert result.exit_code == 1
    assert "no.db" in result.stderr or "run" in result.stderr


def test_a_port_that_is_taken_is_an_error_and_no_traceback(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = serve("--open", "--port", taken.getsockname()[1])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")


def test_two_runs_of_one_name_are_refused(personaplug, tmp_path):
    runs = [("--run", tmp_path / folder / "same") for folder in "ab"]
    result = personaplug("serve", *runs[0], *runs[1], "--store", tmp_path / "no.db", "--open")
    assert result.exit_code == 2
    assert "one name" in result.stderr


def test_a_key_is_written_once_listed_without_itself_and_revoked(personaplug, tmp_path):
    keys = "--keys", tmp_path / "keys.json"
    secret = done(personaplug("keys", "add", *keys, "--name", "laptop", "--tenant", "acme")).stdout.strip()
    found = KeyFile(tmp_path / "keys.json").find(secret)
    assert found.rights == ("generate", "read", "write")
    listed = done(personaplug("keys", "list", *keys, "--json")).stdout
    assert json.loads(listed)[0]["tenant"] == "acme"
    shown = done(personaplug("keys", "list", *keys)).stdout
    for text in (listed, shown):
        assert found.id in text
        assert secret not in text
        assert found.hash not in text
    done(personaplug("keys", "revoke", *keys, found.id))
    assert KeyFile(tmp_path / "keys.json").find(secret) is None
    assert personaplug("keys", "revoke", *keys, found.id).exit_code == 1
