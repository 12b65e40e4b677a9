"""Bad recipes stop before any work, with one error that says what, where and what to do."""

import fcntl

import pytest

from personaplug.cli.benchmark import run as bench_run
from tests.cli.bench_world import bench, write_recipe


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    monkeypatch.setattr(bench_run, "apart", lambda work: pytest.fail(f"{work} was done"))


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
        ({"k": [0]}, "k [0] 1 or more", ""),
        ({"sedes": [0]}, "unknown key 'sedes'", "seeds"),
        ({"settings": ["training.epoks=1"]}, "unknown key 'epoks'", "epochs"),
        ({"settings": ["training.epochs=0"]}, "epochs 0.0", ""),
        ({"settings": ["encoder.max_tokens=9"]}, "cannot set parts of the encoder", "minilm"),
        ({"variants": [{"method": "plug", "label": "x", "settings": ["embedder.heads=2"]}]}, "unknown key 'heads'", ""),
        ({"backbone": "no/model"}, "language model 'no/model' cannot be loaded", "nano"),
        ({"encoder": "no/encoder"}, "encoder 'no/encoder' cannot be loaded", "minilm"),
        ({"settings": ["training.max_input_tokens=512"]}, "has room for", "smaller k"),
        ({"published": "none.toml"}, "none.toml: there is no such file", ""),
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


def test_a_log_without_queries_of_a_split_is_named(models, tmp_path):
    recipe = write_recipe(tmp_path, models)
    (tmp_path / "log.jsonl").write_text('{"user_id": "ada", "time": 0, "input": "a", "output": "b"}\n')
    result = bench(recipe)
    assert "no query with a known answer in the split 'train'" in result.stderr
    assert "personaplug data audit" in result.stderr


@pytest.fixture
def begun(models, tmp_path, monkeypatch):
    """Begin a bench: what its folders are made of is written, and nothing else is done."""
    recipe = write_recipe(tmp_path, models)
    monkeypatch.setattr(bench_run, "apart", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert bench(recipe).exit_code == 130
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_queries": 4}, "training.queries 0, the recipe has 4"),
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


def test_two_benches_in_one_folder_are_one_error(models, tmp_path):
    recipe = write_recipe(tmp_path, models)
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = bench(recipe)
    assert "another bench is at work" in result.stderr
    assert result.exit_code == 1


def test_more_methods_may_join_a_bench_that_has_begun(models, begun, monkeypatch):
    monkeypatch.setattr(bench_run, "apart", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    more = write_recipe(begun, models, methods=["plain", "random"])
    assert bench(more).exit_code == 130
