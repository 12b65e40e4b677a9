"""Bad recipes stop before any work, with one error that says what, where and what to do."""

import fcntl
import json
import shutil
from dataclasses import replace

import pytest

from personaplug.bench import runner
from personaplug.config import write_toml
from personaplug.plug.run import RunConfig
from personaplug.tasks.task import Retrieval, load_task
from tests.bench.bench_world import SMALL, bench, write_recipe


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    monkeypatch.setattr(runner, "run_isolated", lambda work: pytest.fail(f"{work} was done"))


def log_of(name):
    return [{"task": "log", "log": name}]


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"methods": ["plane"]}, "there is no method 'plane'", "plain"),
        ({"tasks": [{"task": "lag", "log": "log.jsonl"}]}, "there is no task 'lag'", "built in: "),
        ({"tasks": log_of("other.jsonl")}, "other.jsonl: there is no such log", "paths from the recipe's folder"),
        ({"tasks": [{"task": "log"}]}, "needs one of log, sample and lamp", ""),
        ({"tasks": [{"task": "log", "sample": 40}]}, "there is no sample for the task 'log'", "sample-tags"),
        ({"tasks": [{"task": "lamp-2", "lamp": "nowhere"}]}, "nowhere", ""),
        ({"tasks": log_of("log.jsonl") * 2}, "'log' stands twice", ""),
        ({"tasks": []}, "at least one of the tasks", ""),
        ({"methods": ["plain", "plain"]}, "must not stand twice: 'plain'", ""),
        ({"seeds": []}, "at least one of seeds", ""),
        ({"seeds": [1, 1]}, "a seed must not stand twice: 1", ""),
        ({"seeds": [-1]}, "seeds [-1] must be 0 or more", ""),
        ({"seeds": ["0"]}, "seeds is '0', not int", ""),
        ({"k": [0]}, "k [0] must be 1 or more", ""),
        ({"variants": [{"method": "dense", "k": [1, 1]}]}, "a k must not stand twice: 1", ""),
        ({"variants": [{"method": "user-lora", "k": [1]}]}, "sets k, but user-lora has no retrieved items", "leave"),
        ({"sedes": [0]}, "unknown key 'sedes'", "seeds"),
        ({"settings": ["training.epoks=1"]}, "unknown key 'epoks'", "epochs"),
        ({"settings": ["training.epochs=0"]}, "epochs 0.0", ""),
        ({"settings": ["encoder.max_tokens=9"]}, "cannot set parts of the encoder", "minilm"),
        ({"variants": [{"method": "plug", "label": "x", "settings": ["embedder.heads=2"]}]}, "unknown key 'heads'", ""),
        ({"backbone": "no/model"}, "language model 'no/model' cannot be loaded", "smollm2"),
        ({"encoder": "no/encoder"}, "encoder 'no/encoder' cannot be loaded", "minilm"),
        ({"settings": ["training.max_input_tokens=512"]}, "has room for", "smaller k"),
        ({"published": "none.toml"}, "none.toml: there is no such file", ""),
        ({"settings": ["training.seed=3"]}, "the recipe sets training.seed, which is the bench's", "key seeds"),
        ({"variants": [{"method": "ropg-kd", "settings": ["fitting.seed=3"]}]}, "'ropg-kd' sets fitting.seed", "seeds"),
        ({"settings": ["training.queries=3"]}, "the recipe sets training.queries", "key train_queries"),
        (
            {"variants": [{"method": "plain", "label": "x", "settings": ["items.item_tokens=9"]}]},
            "items.item_tokens, which plain does not read",
            "training.max_input_tokens",
        ),
        (
            {"variants": [{"method": "bm25", "label": "x", "settings": ["training.epochs=9"]}]},
            "training.epochs, which bm25 does not read",
            "items.item_tokens",
        ),
        ({"variants": [{"method": "rspg-pre", "settings": ["selection.k=3"]}]}, "sets selection.k", "key k"),
        ({"variants": [{"method": "user-lora", "settings": ["items.k=1"]}]}, "sets items.k", "key k"),
        (
            {"variants": [{"method": "user-lora", "settings": ["adaptation.queries=1"]}]},
            "sets adaptation.queries",
            "key train_queries",
        ),
        ({"variants": [{"method": "ropg-kd", "settings": ["backbone.model=x"]}]}, "sets backbone.model", "backbone"),
        (
            {"variants": [{"method": "plug", "label": "x", "settings": ["encoder.model=x"]}]},
            "sets encoder.model",
            "key encoder",
        ),
        (
            {"variants": [{"method": "dense", "settings": ["backbone.dtype=bfloat16"]}]},
            "another encoder or language",
            "",
        ),
        ({"methods": ["user-lora+dense"]}, "there is no method 'user-lora+dense'", "user-lora+bm25"),
        ({"tasks": [{"task": "sample-tags", "sample": 1}]}, "no query with a known answer in the split", ""),
        ({"split": "train"}, "split is 'train', not one of", ""),
    ],
)
def test_a_bad_recipe_is_one_error_before_any_work(models, tmp_path, changes, message, hint):
    result = bench(write_recipe(tmp_path, models, **changes))
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert hint in result.stderr
    assert result.stderr.count("Error:") == 1
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_is_not_there_or_no_toml_is_an_error(tmp_path):
    assert "there is no such file" in bench(tmp_path / "none.toml").stderr
    (tmp_path / "bad.toml").write_text("methods = [")
    assert "not a TOML file" in bench(tmp_path / "bad.toml").stderr


@pytest.mark.parametrize("methods", [["plug"], ["user-lora"]])
def test_a_log_without_queries_of_a_split_is_named(models, tmp_path, methods):
    recipe = write_recipe(tmp_path, models, methods=methods)
    (tmp_path / "log.jsonl").write_text('{"user_id": "ada", "time": "2024-05-01", "input": "a", "output": "b"}\n')
    result = bench(recipe)
    assert "no query with a known answer in the split 'train'" in result.stderr
    assert "personaplug data audit" in result.stderr


@pytest.fixture
def begun(models, tmp_path, monkeypatch):
    """Begin a bench: what its folders are made of is written, and nothing else is done."""
    recipe = write_recipe(tmp_path, models)
    monkeypatch.setattr(runner, "run_isolated", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert bench(recipe).exit_code == 130
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_queries": 4}, "training.queries 0, the recipe has 4"),
        ({"tasks": [{**log_of("log.jsonl")[0], "train_queries": 5}]}, "training.queries 0, the recipe has 5"),
        ({"test_queries": 4}, "test_queries 0, the recipe has 4"),
        ({"settings": ["training.max_input_tokens=32"]}, "run.training."),
        ({"decoding": {"max_new_tokens": 5}}, "decoding.max_new_tokens 4, the recipe has 5"),
    ],
)
def test_what_was_made_with_other_settings_is_not_mixed_in(models, begun, changes, message):
    result = bench(write_recipe(begun, models, **changes))
    assert result.exit_code == 1
    assert message in result.stderr
    assert "give another --out" in result.stderr


def test_another_encoder_is_refused(models, begun):
    result = bench(write_recipe(begun, models, encoder="minilm"))
    assert "encoder." in result.stderr
    assert "the recipe has" in result.stderr


def test_a_record_older_than_a_setting_stands_for_its_default_and_for_no_other(models, begun):
    path = begun / "out" / "log" / "made_of.json"
    held = json.loads(path.read_text())
    del held["task"]["retrieval"]["keep_case"]
    path.write_text(json.dumps(held))
    assert bench(write_recipe(begun, models)).exit_code == 130
    task = replace(load_task("log"), retrieval=Retrieval(keep_case=True))
    write_toml(task, begun / "own.toml")
    result = bench(write_recipe(begun, models, tasks=[{"task": "own.toml", "log": "log.jsonl"}]))
    assert "was made with task.retrieval.keep_case false, the recipe has true" in result.stderr


@pytest.mark.parametrize(
    ("section", "name", "then"),
    [("embedder", "with_mean", "false"), ("adapter", "reads", '"all"'), ("adapter", "rank", "0")],
)
def test_a_plug_of_before_is_not_taken_for_one_of_today(models, begun, section, name, then):
    path = begun / "out" / "log" / "plug" / "made_of.json"
    held = json.loads(path.read_text())
    del held["run"][section][name]
    path.write_text(json.dumps(held))
    assert f"was made with run.{section}.{name} {then}, the recipe has" in bench(write_recipe(begun, models)).stderr


def test_a_changed_log_is_refused(models, begun):
    recipe = write_recipe(begun, models)
    with (begun / "log.jsonl").open("a") as log:
        log.write('{"user_id": "ada", "time": "2025-01-01", "input": "a", "output": "b"}\n')
    assert "was made with log" in bench(recipe).stderr


def test_a_run_folder_of_another_encoder_is_refused(models, place, tmp_path):
    recipe = write_recipe(tmp_path, models, encoder="minilm")
    run = tmp_path / "out" / "log" / "plug" / "seed-0" / "run"
    run.mkdir(parents=True)
    (run / "config.toml").write_bytes((place.plug / "config.toml").read_bytes())
    result = bench(recipe)
    assert f"is a run of the encoder {models['encoder']!r}, the recipe has 'minilm'" in result.stderr


def test_a_run_folder_of_each_number_of_items_is_looked_at(models, place, tmp_path):
    recipe = write_recipe(tmp_path, models, methods=["rspg-pre"], k=[1, 2])
    run = tmp_path / "out" / "log" / "rspg-pre" / "seed-1" / "run-k2"
    run.mkdir(parents=True)
    (run / "config.toml").write_bytes((place.plug / "config.toml").read_bytes())
    assert "run-k2 holds a plug, not a rspg-pre" in " ".join(bench(recipe).stderr.split())


@pytest.fixture
def stopping(monkeypatch):
    """Stop before the first step: what comes so far is no bad recipe."""
    monkeypatch.setattr(runner, "run_isolated", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))


@pytest.mark.usefixtures("stopping")
def test_a_log_of_one_user_is_refused_where_somebody_wants_a_stranger(models, tmp_path):
    recipe = write_recipe(tmp_path, models, methods=["plug"])
    rows = (tmp_path / "log.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "log.jsonl").write_text("".join(row for row in rows if '"ada"' in row))
    assert "no stranger" in bench(recipe).stderr
    for changes in ({"methods": ["plain", "tuned-prompt"]}, {"methods": ["plug"], "strangers": False}):
        kept = (tmp_path / "log.jsonl").read_bytes()
        recipe = write_recipe(tmp_path, models, **changes)
        (tmp_path / "log.jsonl").write_bytes(kept)
        assert bench(recipe).exit_code == 130


@pytest.mark.usefixtures("stopping")
def test_rows_that_cannot_be_read_are_an_error_or_are_left_out_and_told_of(models, tmp_path):
    recipe = write_recipe(tmp_path, models)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"user_id": "ada"}\n')
    assert "there is no time" in bench(recipe).stderr
    result = bench(recipe, "--skip-bad")
    assert result.exit_code == 130
    assert "Left out 1 bad rows" in result.stderr


@pytest.mark.usefixtures("stopping")
@pytest.mark.parametrize(("method", "items"), [("tuned-prompt", 0), ("plug+bm25", 2)])
def test_a_plugs_vectors_and_items_need_room_too(models, tmp_path, method, items):
    beside = items + len("\n") if items else 0
    room = (
        512 - 8 - RunConfig().vectors - beside
    )  # the tiny model's positions, an answer, the vectors beside the input, and the items
    for tokens, code in ((room, 130), (room + 1, 1)):
        settings = [*SMALL, f"training.max_input_tokens={tokens}"]
        result = bench(write_recipe(tmp_path, models, methods=[method], settings=settings, strangers=False))
        assert result.exit_code == code
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert "12 vectors" in result.stderr


@pytest.mark.usefixtures("stopping")
def test_a_mixed_run_has_no_room_for_longer_answers_than_it_was_trained_with(models, tmp_path):
    settings = [*SMALL, "training.max_input_tokens=400"]  # two items of 64 fill the tiny model's 512 positions
    for new_tokens, code in ((8, 130), (9, 1)):
        words = {"methods": ["plug+bm25"], "settings": settings, "decoding": {"max_new_tokens": new_tokens}}
        result = bench(write_recipe(tmp_path, models, **words))
        assert result.exit_code == code
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_what_only_training_reads_does_not_concern_who_is_not_trained(models, begun):
    faster = [*SMALL, "training.learning_rate=5e-3"]
    assert bench(write_recipe(begun, models, methods=["plain", "bm25"], settings=faster)).exit_code == 130
    assert "learning_rate" in bench(write_recipe(begun, models, settings=faster)).stderr


def test_shorter_items_concern_whoever_shows_any(models, begun):
    shorter = [*SMALL, "items.item_tokens=9"]
    assert bench(write_recipe(begun, models, methods=["plain"], settings=shorter)).exit_code == 130
    for method in ("bm25", "recency"):
        result = bench(write_recipe(begun, models, methods=[method], settings=shorter))
        assert "items.item_tokens 64, the recipe has 9" in result.stderr


def test_what_a_record_holds_beside_what_decides_is_passed_over(models, begun):
    path = begun / "out" / "log" / "plain" / "made_of.json"
    held = json.loads(path.read_text())
    held["run"]["training"] |= {"learning_rate": 1.0, "epochs": 9}
    path.write_text(json.dumps(held))
    assert bench(write_recipe(begun, models)).exit_code == 130


def test_two_benches_in_one_folder_are_one_error(models, tmp_path):
    recipe = write_recipe(tmp_path, models)
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = bench(recipe)
    assert "another bench is at work" in result.stderr
    assert result.exit_code == 1


def test_more_methods_seeds_and_numbers_of_items_may_join_a_bench_that_has_begun(models, begun, monkeypatch):
    monkeypatch.setattr(runner, "run_isolated", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    more = write_recipe(begun, models, methods=["plain", "random", "plug"], seeds=[0, 5], k=[2, 4])
    assert bench(more).exit_code == 130
