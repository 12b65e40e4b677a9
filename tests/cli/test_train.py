import json
import tomllib
from pathlib import Path
from shutil import copy, copytree

import pytest

from personaplug.config import write_toml
from personaplug.embedder.encoder import EncoderConfig
from personaplug.plug.encoders import ENCODERS
from personaplug.plug.run import RunConfig, TrainingConfig
from personaplug.store.bank import Bank
from personaplug.store.persona_store import PersonaStore
from personaplug.workflows.train import snapshot_of
from tests import tiny
from tests.cli.conftest import USERS, done
from tests.factories import make_item
from tests.gguf_files import CHAT, write_gguf

QUERIES = sum(count - 3 for count in USERS.values())  # the first has no history, the last two are for dev and test


@pytest.fixture
def train(personaplug, place, models, tmp_path):
    """Train a small run into ``run``."""

    def run(*words, log=place.log, task="log", store=place.store, encoder=models["encoder"], family="encoder-decoder"):
        named = {"--store": store, "--encoder": encoder, "--backbone": family and models.get(family, family)}
        given = [word for name, value in named.items() if value for word in (name, value)]
        return personaplug("train", log, "--task", task, "--out", tmp_path / "run", *given, *words)

    return run


def test_a_run_is_left_in_its_folder_and_told_in_one_line(train, place, tmp_path):
    result = done(train("--epochs", 1, "--batch-size", 4))
    assert result.stdout.startswith(f"{tmp_path / 'run'}: 2 steps in ")
    assert result.stdout.endswith(" nats a token on dev\n")
    assert "train plug" in result.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "README.md", "config.toml", "copy_head.safetensors", "metrics.jsonl", "model.safetensors",
        "shared_adapter.safetensors", "task.toml",
    }  # fmt: skip
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert (tmp_path / "run" / config["store"]).resolve() == place.store.resolve()
    assert f"| training queries | {QUERIES} |" in (tmp_path / "run" / "README.md").read_text()


def test_a_program_reads_the_outcome(train):
    found = json.loads(done(train("--epochs", 1, "--json", family="decoder-only")).stdout)
    assert found["steps"] == 1
    assert found["dev_loss"] > 0


def test_a_tuned_prompt_needs_neither_store_nor_encoder(train, tmp_path):
    done(train("--method", "tuned-prompt", "--epochs", 1, store=None, encoder=None))
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert (config["method"], config["store"]) == ("tuned-prompt", "")


def test_words_of_the_command_line_go_before_the_configuration_file(train, tmp_path):
    training = TrainingConfig(epochs=1.0, batch_size=7, learning_rate=0.5, max_input_tokens=40)
    write_toml(RunConfig(method="tuned-prompt", training=training), tmp_path / "my.toml")
    done(train("--config", tmp_path / "my.toml", "--batch-size", 3, "--limit", 2, "--seed", 5))
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    found = config["training"]
    assert (found["batch_size"], found["seed"], found["learning_rate"], found["max_input_tokens"]) == (3, 5, 0.5, 40)
    assert config["method"] == "tuned-prompt"
    assert "| training queries | 2 |" in (tmp_path / "run" / "README.md").read_text()


def test_any_setting_of_a_run_is_changed_on_the_command_line(train, tmp_path):
    done(train("--set", "training.learning_rate=0.25", "--set", "embedder.personas=2", "--epochs", 1, "--limit", 3))
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert (config["training"]["learning_rate"], config["embedder"]["personas"]) == (0.25, 2)
    assert config["training"]["queries"] == 3
    assert "| training queries | 3 |" in (tmp_path / "run" / "README.md").read_text()


def test_a_setting_that_there_is_not_is_named(train, tmp_path):
    result = train("--set", "training.speed=9")
    assert result.exit_code == 1
    assert "training.speed=9: unknown key 'speed'" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("method", "retriever"), [("plug+bm25", "bm25"), ("plug+dense", "dense")])
def test_a_mixed_run_keeps_its_retriever_and_k_for_whoever_uses_it(personaplug, place, method, retriever):
    run = place.mixed[method]
    config = tomllib.loads((run / "config.toml").read_text())
    assert (config["method"], config["items"]["k"]) == (method, 2)
    assert f"| 2, chosen by {retriever} |" in (run / "README.md").read_text()
    ask = "--run", run, "--user", "ada", "tea?"
    assert done(personaplug("generate", *ask, "--max-new-tokens", 2)).stdout
    explained = json.loads(done(personaplug("explain", *ask, "--json")).stdout)
    assert sum(memory["is_in_prompt"] for memory in explained) == 2


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("plug", "-k goes with --method rspg, user-lora, +bm25 or +dense"),
        ("ropg-rl", "-k goes with evaluate: ropg-rl learns from prompts of one item each"),
    ],
)
def test_k_is_refused_where_training_would_not_read_it(train, method, message):
    result = train("--method", method, "-k", 2)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_folder_that_holds_a_run_is_refused_before_any_work(train, tmp_path):
    (tmp_path / "run").mkdir()
    write_toml(RunConfig(), tmp_path / "run" / "config.toml")
    result = train(log=tmp_path / "nowhere.jsonl", family="nowhere")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"Error: {tmp_path / 'run'} already holds a run\nHint: give another --out, or --resume" in result.stderr


def test_a_finished_run_is_not_resumed(train, place):
    result = train("--resume", "--out", place.plug)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"the run in {place.plug} is finished" in result.stderr


def test_a_store_of_another_encoder_is_refused_with_a_way_out(train, tmp_path):
    other = tiny.save_model(tiny.text_encoder(seed=1), tmp_path / "encoder")
    result = train(encoder=other)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "its vectors were made with fingerprint 'encoder@" in result.stderr
    assert "name with --encoder, --task and --preset what the store was indexed with" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_plug_without_a_store_is_refused(train, tmp_path):
    result = train(store=None)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "a persona needs a store of histories\nHint: name it with --store" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_log_that_leaves_nothing_to_train_on_points_to_the_audit(train, tmp_path):
    log = tmp_path / "short.jsonl"
    log.write_text('{"user_id": "ada", "time": "2024-05-01", "input": "a", "output": "b"}\n')
    result = train(log=log)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no query to train on\nHint: personaplug data audit" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('colour = "red"', "my.toml: unknown key 'colour'"),
        ("[training]\nepoch = 3", "my.toml: training: unknown key 'epoch'"),
        ("[training]\nepochs = 0", "must be above zero"),
        (None, "my.toml: there is no such file"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named_with_its_key(train, tmp_path, content, message):
    if content:
        (tmp_path / "my.toml").write_text(content)
    result = train("--config", tmp_path / "my.toml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"task": "no-task"}, "there is no task 'no-task'"),
        ({"log": "nowhere.jsonl"}, "nowhere.jsonl: there is no such file"),
        ({"store": "nowhere.db"}, "nowhere.db: there is no such store\nHint: make it: personaplug index"),
        ({"family": "nowhere"}, "the language model 'nowhere' cannot be loaded"),
        ({"encoder": "nowhere/encoder"}, "the encoder 'nowhere/encoder' cannot be loaded"),
    ],
)
def test_what_is_not_there_is_named(train, changed, message):
    result = train(**changed)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr


def test_inputs_longer_than_the_language_model_reads_are_refused(train):
    result = train("--max-input-tokens", 490, "--max-output-tokens", 28, family="decoder-only")
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        "inputs of 490 tokens beside 12 vectors: the language model has room for 484, beside answers of 28"
        in result.stderr
    )
    assert "Hint: --max-input-tokens 472" in result.stderr


def test_bad_rows_stop_the_training_unless_they_are_to_be_left_out(train, place, tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(place.log.read_text() + "{broken\n")
    line = f"{log}:{sum(USERS.values()) + 1}"
    stopped = train(log=log)
    assert stopped.exit_code == 1
    assert line in stopped.stderr
    went_on = done(train("--epochs", 1, "--skip-bad", log=log))
    assert line in went_on.stderr
    assert "Left out 1 bad row" in went_on.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--epochs", 0),
        ("--batch-size", 0),
        ("--limit", 0),
        ("--max-output-tokens", 1),
        ("--preset", "mine"),
        ("--method", "bm25"),
    ],
)
def test_wrong_usage_exits_2(train, words):
    assert train(*words).exit_code == 2


def test_a_snapshot_is_made_anew_only_when_the_store_has_changed(place, tmp_path):
    with PersonaStore.open(place.store) as small:
        layout, vectors = small.layout, small.vectors(small.get("ada"))
    with PersonaStore.open(tmp_path / "own.db", layout=layout) as store:
        store.append("ada", [make_item(0)], vectors[:1])
        assert isinstance(snapshot_of(store), Bank)
        made = {path: path.stat().st_mtime_ns for path in (tmp_path / "own.db.bank").iterdir()}
        snapshot_of(store)
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "own.db.bank").iterdir()} == made
        store.append("bob", [make_item(0)], vectors[:1])
        assert snapshot_of(store).vectors(store.get("bob")).shape[0] == 1


def test_models_named_by_relative_paths_are_found_from_elsewhere_and_after_a_move(
    personaplug, place, models, tmp_path, monkeypatch
):
    world = tmp_path / "world"
    for name in ("encoder", "decoder-only"):
        copytree(models[name], world / "my models" / name)
    copy(place.store, world / "log.db")
    monkeypatch.chdir(world)
    given = "--store", "log.db", "--encoder", "my models/encoder", "--backbone", "my models/decoder-only"
    done(personaplug("train", place.log, "--task", "log", *given, "--epochs", 1, "--out", "runs/plug"))
    monkeypatch.chdir(tmp_path)
    moved = world.rename(tmp_path / "moved") / "runs" / "plug"
    answers = [
        done(personaplug("generate", "--run", run, "--user", "ada", "tea?")).stdout
        for run in (moved, "moved/runs/plug")
    ]
    assert answers[0] == answers[1]
    measured = "--method", "bm25", "--run", moved, "-k", 1, "--out", tmp_path / "bm25.json"
    done(personaplug("evaluate", place.log, "--task", "log", *measured))


def test_a_gguf_file_named_by_a_relative_path_is_found_from_elsewhere_and_after_a_move(
    personaplug, place, tmp_path, monkeypatch
):
    monkeypatch.setenv("PERSONAPLUG_CACHE", str(tmp_path / "cache"))
    write_gguf(tmp_path / "world" / "models" / "tiny.gguf", chat=CHAT)
    monkeypatch.chdir(tmp_path / "world")
    given = "--method", "tuned-prompt", "--backbone", "models/tiny.gguf", "--epochs", 1, "--out", "runs/tuned"
    done(personaplug("train", place.log, "--task", "log", *given))
    card = Path("runs/tuned/README.md").read_text()
    assert "in its chat template" in card
    assert "```text\n<s>INPUT</s>\n```" in card
    monkeypatch.chdir(tmp_path)
    moved = (tmp_path / "world").rename(tmp_path / "moved") / "runs" / "tuned"
    for run in (moved, "moved/runs/tuned"):
        done(personaplug("generate", "--run", run, "--store", place.store, "--user", "ada", "tea?"))


def test_a_file_that_is_no_gguf_ends_the_command_with_one_error(train, tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"no model")
    result = train(family=str(tmp_path / "broken.gguf"))
    assert result.exit_code == 1
    assert result.stderr.count("broken.gguf is no GGUF file") == 1
    assert not (tmp_path / "run" / "config.toml").exists()


@pytest.mark.parametrize("method", ["plug", "ropg-kd"])
def test_where_nobody_names_the_encoder_the_store_does_whatever_the_preset(
    method, train, models, tmp_path, monkeypatch
):
    monkeypatch.setitem(ENCODERS, models["encoder"], EncoderConfig(model=models["encoder"]))
    words = ("--preset", "paper", "--method", method, "--epochs", 1, "--limit", 2, "--batch-size", 2)
    result = done(train(*words, encoder=None, family="encoder-decoder"))
    assert f"was indexed with {models['encoder']}: that encoder is taken" in " ".join(result.stderr.split())
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert config["encoder"]["model"] == models["encoder"]


def test_an_encoder_that_the_store_cannot_name_whole_is_asked_for_and_not_looked_for(train):
    result = train("--preset", "paper", encoder=None, family="encoder-decoder")
    assert result.exit_code == 1
    assert "the store was indexed with an encoder 'encoder', which is not known by this name alone" in result.stderr
    assert "--encoder" in result.stderr


def test_an_encoder_that_is_not_the_store_s_is_refused_before_it_is_looked_for(train):
    result = train(encoder="intfloat/e5-small-v2")
    assert result.exit_code == 1
    assert "its vectors were made by the encoder 'encoder', not by 'intfloat/e5-small-v2'" in result.stderr


HELD_BACK = {
    "plug": {"-k", "--ropg", "--score", "--split", "--stranger"},
    "tuned-prompt": {"-k", "--encoder", "--ropg", "--score", "--split", "--stranger"},
    "plug+bm25": {"--ropg", "--score", "--split", "--stranger"},
    "ropg-kd": {"-k", "--ropg", "--split", "--stranger"},
    "rspg-pre": {"--split", "--stranger"},
    "user-lora": {"--store", "--encoder", "--ropg", "--score"},
}
"""Options that a method does not read."""


@pytest.mark.parametrize("method", HELD_BACK)
def test_help_shows_just_the_options_that_the_method_reads(personaplug, method):
    shown = done(personaplug("train", "--help", "--method", method)).stdout
    options = {line.split()[0].rstrip(",") for line in shown.splitlines() if line.startswith("  -")}
    every = set().union(*HELD_BACK.values()) | {"--task", "--out", "--epochs", "--set", "--resume", "-h"}
    assert options & every == every - HELD_BACK[method]
    assert done(personaplug("train", f"--method={method}", "--help")).stdout == shown


def test_help_without_a_method_is_the_plugs_and_names_the_others(personaplug):
    shown = done(personaplug("train", "--help")).stdout
    assert shown == done(personaplug("train", "--help", "--method", "plug")).stdout
    assert "Options of --method plug" in shown
    assert "user-lora" in shown.rpartition("Other methods")[2]


def test_help_is_of_the_method_in_a_file_and_of_the_last_one_typed(personaplug, place):
    wanted = done(personaplug("train", "--help", "--method", "user-lora")).stdout
    config = place.adapters / "config.toml"
    assert done(personaplug("train", "--config", config, "--help")).stdout == wanted
    assert done(personaplug("train", "--method", "plug", "--method", "user-lora", "--help")).stdout == wanted
    assert done(personaplug("train", "--config", config / "none", "--help")).exit_code == 0
