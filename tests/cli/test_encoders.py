"""A language model's own states as the encoder, from the index to the server's doors."""

import json

import pytest

from personaplug.store.persona_store import PersonaStore
from tests import tiny
from tests.cli.conftest import done, run_command, write_log

TASK = ("--task", "log")


@pytest.fixture(scope="module")
def way(tmp_path_factory):
    """Index the small log with a language model, which is also the backbone, in a folder of one's own."""
    folder = tmp_path_factory.mktemp("states")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny.save_model(tiny.decoder_only(), folder / "llama")
        write_log(folder / "log.jsonl")
        done(run_command("index", "log.jsonl", *TASK, "--store", "log.db", "--encoder", "./llama", "--layer", 2))
        trained = "--store", "log.db", "--backbone", "./llama", "--epochs", 1
        done(run_command("train", "log.jsonl", *TASK, *trained, "--out", "plug"))
    return folder


@pytest.fixture(autouse=True)
def there(way, monkeypatch):
    monkeypatch.chdir(way)


def fingerprint(store):
    with PersonaStore.open(store) as opened:
        return opened.layout.fingerprint


def test_the_layer_that_was_asked_for_stands_in_the_stores_fingerprint(way):
    assert "|mean of layer 2|" in fingerprint(way / "log.db")
    assert "|mean of layer 2|" in done(run_command("persona", "show", "ada", "--store", "log.db")).stdout


def test_what_is_appended_later_is_of_the_same_layer_though_nobody_names_it(way, tmp_path):
    store = tmp_path / "log.db"
    store.write_bytes((way / "log.db").read_bytes())
    rows = [json.loads(line) for line in (way / "log.jsonl").read_text().splitlines()]
    (tmp_path / "more.jsonl").write_text(json.dumps(rows[0] | {"id": "new", "input": "Never seen."}) + "\n")
    words = "index", tmp_path / "more.jsonl", *TASK, "--store", store, "--encoder", "./llama", "--json"
    assert json.loads(done(run_command(*words)).stdout)["new_items"] == 1


def test_another_layer_is_refused_with_a_way_out():
    words = "--store", "log.db", "--encoder", "./llama", "--layer", 1
    result = run_command("index", "log.jsonl", *TASK, *words)
    assert result.exit_code == 1
    assert "mean of layer 2" in result.stderr
    assert "or index the log into a new one" in result.stderr


def test_a_layer_of_an_encoder_or_beyond_the_last_is_refused_before_anything_is_stored(tmp_path):
    for words, message in (((), "it is an encoder"), (("--encoder", "./llama"), "a language model of 2 layers")):
        new = "--store", tmp_path / "new.db", "--layer", 7
        result = run_command("index", "log.jsonl", *TASK, *new, *words)
        assert result.exit_code == 1
        assert message in result.stderr
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("method", ["dense", "plug"])
def test_the_store_is_enough_to_be_evaluated_by_its_states(method, tmp_path):
    words = "--method", method, "--store", "log.db", "--out", tmp_path / "report.json", "--max-new-tokens", 4
    run = ("--run", "plug") if method == "plug" else ("--backbone", "./llama", "-k", 1)
    done(run_command("evaluate", "log.jsonl", *TASK, *words, *run))
    assert json.loads((tmp_path / "report.json").read_text())["answers"]


def test_a_persona_of_states_is_weighed_for_a_question():
    words = "tea?", "--run", "plug", "--store", "log.db", "--user", "ada"
    assert "tea" in done(run_command("explain", *words)).stdout
