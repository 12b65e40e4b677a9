"""Every command in the order in which a person meets them, each on what the one before has left."""

import json
import shutil

import pytest

from tests.cli.conftest import done, run_command

TASK = "sample-tags"
QUESTION = "A quiet novel about two sailors, set in old Rome, full of swords."
SHORT = ("--max-new-tokens", 4)
CONTENDERS = {
    "plain": ("--run", "plug"),
    "tuned-prompt": ("--run", "tuned-prompt"),
    "bm25": ("--run", "plug", "--k", 2),
    "plug": ("--run", "plug"),
    "stranger": ("--run", "plug", "--stranger"),
}


def read(*words):
    """Run a command and read what it writes for programs."""
    return json.loads(done(run_command(*words, "--json")).stdout)


@pytest.fixture(scope="module")
def way(models, tmp_path_factory):
    """Go from nothing to a trained plug and its control, in a folder of one's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("whole-way"))
        done(run_command("data", "import", "sample", TASK, "--users", 40, "--out", "log.jsonl.gz"))
        task, parts = ("--task", TASK, "--store", "store.db"), ("--encoder", models["encoder"])
        assert read("index", "log.jsonl.gz", *task, *parts)["new_items"] >= 40 * 8
        for method in ("plug", "tuned-prompt"):
            small = "--limit", 64, "--epochs", 1, "--max-input-tokens", 64
            words = "--method", method, "--out", method, "--backbone", models["encoder-decoder"], *small
            assert read("train", "log.jsonl.gz", *task, *parts, *words)["steps"] == 8
    return folder


@pytest.fixture(autouse=True)
def there(way, monkeypatch):
    monkeypatch.chdir(way)


def test_the_audit_of_the_sample_finds_queries_in_every_split():
    found = read("data", "audit", "log.jsonl.gz", "--task", TASK)
    assert found["users"] == 40
    assert all(split["queries"] for split in found["splits"])


def test_a_log_that_is_indexed_already_costs_nothing(models):
    words = "--task", TASK, "--store", "store.db", "--encoder", models["encoder"]
    again = read("index", "log.jsonl.gz", *words)
    assert (again["new_items"], again["encoded_texts"]) == (0, 0)


def test_a_user_is_answered_and_the_answer_explained():
    user = read("persona", "list", "--store", "store.db")[0]["user_id"]
    ask = "--run", "plug", "--user", user, QUESTION
    assert done(run_command("generate", *ask, *SHORT)).stdout.strip()
    memories = read("explain", *ask)
    assert sum(memory["weight"] for memory in memories) == pytest.approx(1, abs=1e-5)
    assert len(memories) == read("persona", "show", "--store", "store.db", user)["items"]


def test_contenders_are_measured_and_compared_in_a_table_and_on_a_page(way):
    for name, words in CONTENDERS.items():
        method = "plug" if name == "stranger" else name
        ask = "--task", TASK, "--method", method, "--limit", 8, *SHORT, "--out", f"{name}.json"
        found = read("evaluate", "log.jsonl.gz", *ask, *words)
        metrics = [score["metric"] for score in found["scores"]]
        assert metrics == ["accuracy", "macro-f1", "nats-per-token", "nats-per-answer"]
        assert all(score["answers"] == 8 for score in found["scores"])
        assert (found["attention"] is not None) == (method == "plug")
        assert found["setting"]["history"] == ("stranger" if name == "stranger" else "own")
    reports = [f"{name}.json" for name in CONTENDERS]
    shown = done(run_command("compare", *reports, "--html", "page.html")).stdout
    assert all(label in shown for label in ("plain", "tuned-prompt", "bm25, k=2", "plug"))
    assert "<svg" in (way / "page.html").read_text()
    compared = read("compare", *reports)
    assert compared["baseline"] == "tuned-prompt"
    assert [control["label"] for control in compared["controls"]] == ["plug"]


def test_a_forgotten_user_is_nobody_again():
    shutil.copy("store.db", "other.db")
    user = read("persona", "list", "--store", "other.db")[0]["user_id"]
    done(run_command("persona", "forget", "--store", "other.db", user, "--yes"))
    assert user not in done(run_command("persona", "list", "--store", "other.db")).stdout
    ask = "--run", "plug", "--store", "other.db", QUESTION
    forgotten, stranger = (done(run_command("generate", *ask, *SHORT, "--user", each)) for each in (user, "never seen"))
    assert forgotten.stdout == stranger.stdout
    assert run_command("explain", *ask, "--user", user).exit_code == 1
