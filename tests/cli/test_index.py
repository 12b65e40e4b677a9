import json
import os
import sys
from threading import Thread

import pytest

from personaplug.store.indexing import IndexCounts
from personaplug.store.persona_store import PersonaStore
from personaplug.workflows import index as workflow
from personaplug.workflows.cluster import RayCluster
from tests.cli.fake_encoder import FakeEncoder

QUESTION = {"user_id": "bob", "time": "2024-02-01", "input": "asked", "output": None}
ROWS = [
    {"user_id": "ada", "time": "2024-01-01", "id": "1", "input": "night falls", "output": "dusk"},
    {"user_id": "ada", "time": "2024-01-02", "id": "2", "input": "day breaks", "output": "dawn"},
    {"user_id": "bob", "time": "2024-01-03", "id": "1", "input": "night falls", "output": "late"},
    QUESTION,
]


@pytest.fixture(autouse=True)
def encoder(monkeypatch):
    monkeypatch.setattr(workflow, "load_encoder", lambda config, **_: FakeEncoder(config.model))
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")  # the command sets it, and nobody takes it back


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def index(personaplug, log, tmp_path):
    return lambda *words: personaplug("index", log, "--task", "log", "--store", tmp_path / "log.db", *words)


def test_a_log_is_encoded_into_a_new_store_and_counted_in_one_line(index, tmp_path):
    result = index()
    assert result.exit_code == 0, result.stderr
    assert result.stdout == (
        f"{tmp_path / 'log.db'}: 3 new items from 4 rows (0 were there already, 1 have no output);"
        " 5 texts encoded, 1 known before\n"
    )
    with PersonaStore.open(tmp_path / "log.db") as store:
        assert (list(store.users()), store.count()) == (["ada", "bob"], 3)


def test_the_same_command_again_encodes_nothing(index):
    index()
    again = json.loads(index("--json").stdout)
    assert (again["new_items"], again["encoded_texts"], again["skipped_existing"]) == (0, 0, 3)


def test_a_log_with_two_rows_of_one_id_is_refused_before_anything_is_stored(index, log, tmp_path):
    log.write_text(log.read_text() + json.dumps(ROWS[0] | {"output": "other"}) + "\n")
    result = index("--skip-bad")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "user 'ada' has two different rows of the id '1'" in result.stderr
    assert "ids are then made from the content" in result.stderr
    assert not (tmp_path / "log.db").exists()


def test_a_row_that_stands_twice_is_told(index, log):
    log.write_text(log.read_text() + json.dumps(ROWS[0]) + "\n")
    assert "3 new items from 5 rows (0 were there already, 1 repeat an earlier row, 1 have" in index().stdout


def test_a_bad_row_at_the_end_is_told_before_anything_is_stored(index, log, tmp_path):
    log.write_text(log.read_text() + "{broken\n")
    assert index().exit_code == 1
    assert not (tmp_path / "log.db").exists()


def test_a_log_from_a_pipe_is_read_once(index, log):
    text = log.read_text()
    log.unlink()
    os.mkfifo(log)
    writer = Thread(target=log.write_text, args=[text])
    writer.start()
    assert index().stdout.partition(": ")[2].startswith("3 new items from 4 rows")
    writer.join()


def test_another_encoder_is_refused_with_a_way_out(index):
    index()
    result = index("--encoder", "other")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "'minilm@1', not 'other@1'" in result.stderr
    assert "or index the log into a new one" in result.stderr


@pytest.mark.parametrize(
    ("words", "name"),
    [((), "minilm"), (("--preset", "paper"), "BAAI/bge-base-en-v1.5"), (("--preset", "paper", "--encoder", "x"), "x")],
)
def test_the_encoder_is_the_presets_unless_one_is_named(index, tmp_path, words, name):
    assert index(*words).exit_code == 0
    with PersonaStore.open(tmp_path / "log.db") as store:
        assert store.layout.fingerprint == f"{name}@1"


def test_vectors_of_another_store_are_taken(index, personaplug, log, tmp_path):
    index()
    words = "--task", "log", "--store", tmp_path / "new.db", "--reuse", tmp_path / "log.db", "--json"
    assert json.loads(personaplug("index", log, *words).stdout)["encoded_texts"] == 0


def test_a_bad_row_stops_the_index_unless_it_is_to_be_left_out(index, log):
    log.write_text(log.read_text() + "{broken\n")
    stopped = index()
    assert stopped.exit_code == 1
    assert f"{log}:5" in stopped.stderr
    done = index("--skip-bad", "--json")
    assert json.loads(done.stdout)["rows"] == 4
    assert f"{log}:5" in done.stderr
    assert "Left out 1 bad rows." in done.stderr


def test_a_file_that_is_no_store_is_our_error(personaplug, log):
    result = personaplug("index", log, "--task", "log", "--store", log)
    assert result.exit_code == 1
    assert "not a persona store" in result.stderr
    assert log.read_text().startswith('{"user_id"')


def test_ray_without_its_packages_is_refused_with_what_installs_them_and_nothing_is_stored(
    index, monkeypatch, tmp_path
):
    monkeypatch.delitem(sys.modules, "personaplug.workflows.ray_connection", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    result = index("--ray")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "encoding on a Ray cluster needs packages that are not installed" in result.stderr
    assert "pip install 'personaplug[ray]'" in result.stderr
    assert not (tmp_path / "log.db").exists()


@pytest.mark.parametrize(
    ("words", "cluster"),
    [
        ((), None),
        (("--ray",), RayCluster()),
        (("--ray", "--ray-actors", 3), RayCluster(None, 3)),
        (("--ray", "head:6379"), RayCluster("head:6379")),
        (("--ray", "auto", "--skip-bad"), RayCluster("auto")),
    ],
)
def test_texts_are_encoded_where_the_command_says(index, monkeypatch, words, cluster):
    asked = []
    monkeypatch.setattr(workflow, "index", lambda *_, ray, **__: asked.append(ray) or IndexCounts())
    assert index(*words).exit_code == 0
    assert asked == [cluster]


def test_a_number_of_encoders_without_a_cluster_is_wrong_usage(index):
    result = index("--ray-actors", 2)
    assert result.exit_code == 2
    assert "--ray-actors says how many encode with --ray" in result.stderr
