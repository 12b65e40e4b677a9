"""A bench on files in LaMP's own format, in the paper's settings, with tiny models in the place of its own."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from personaplug.bench import runner
from personaplug.bench.layout import TaskLayout
from personaplug.bench.recipe import Decoding, read_recipe
from personaplug.bench.run_configs import base_run, decoding_of
from personaplug.evaluation.published import published_scores, read_published
from personaplug.method_kinds import METHOD_KINDS
from personaplug.rivals.learned_retrieval.run import PRESETS
from personaplug.tasks.task import load_task
from tests.bench.bench_world import SMALL, bench, write_recipe
from tests.cli.conftest import done
from tests.lamp_files import make_profile, write_split

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SHIPPED = read_recipe(BENCHMARKS / "lamp.toml")
USERS = 3
DATES = ("2020-01-01", "2020-02-01", "2020-03-01", "2020-04-01")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(runner, "run_isolated", lambda work: work())


def write_lamp(folder, task_name="lamp-2"):
    """Write train and dev of a task: each user has four items and answers one question, unlike the others."""
    labels = load_task(task_name).labels or ("hoot", "hoot hoot", "coo")
    for first, split in enumerate(("train", "dev")):
        ids = [10 * (user + USERS * first) for user in range(USERS)]
        profiles = [make_profile(task_name, 4, first_id=at, dates=DATES) for at in ids]
        answers = [labels[user % len(labels)] for user in range(USERS)]
        write_split(folder, task_name, split, profiles, answers=answers)


def shrunk(folder, models, names, methods):
    """Write LaMP's files and the shipped recipe for some of its tasks and methods, with models that are tiny."""
    shipped = tomllib.loads((BENCHMARKS / "lamp.toml").read_text())
    tasks = [source for source in shipped["tasks"] if source["task"] in names]
    for source in tasks:
        write_lamp(folder / source["lamp"], source["task"])
    changed = {"tasks": tasks, "methods": list(methods), "published": str(BENCHMARKS / shipped["published"])}
    changed |= {"settings": [*shipped["settings"], *SMALL], "decoding": {"strategy": "beam", "max_new_tokens": 4}}
    return write_recipe(folder, models, **shipped | changed, backbone=models["encoder-decoder"])


@pytest.mark.parametrize(
    ("names", "methods", "published"),
    [
        (("lamp-1", "lamp-4"), SHIPPED.methods, ("Accuracy", "0.680")),
        (("lamp-2", "lamp-3", "lamp-5", "lamp-6", "lamp-7"), ("plain", "bm25"), ("Accuracy", "0.565")),
    ],
    ids=["every-method", "every-task"],
)
def test_the_shipped_lamp_recipe_goes_from_lamps_files_to_a_report(
    names, methods, published, models, tmp_path, monkeypatch
):
    """Run all methods on a classification and a generation, the others' files and prompts without training.

    All methods on all tasks would be three times as much work, near a minute of a busy core.
    """
    tiny_reader = replace(PRESETS["paper"], selection=replace(PRESETS["paper"].selection, encoder=models["encoder"]))
    monkeypatch.setitem(PRESETS, "paper", tiny_reader)  # in the place of the Longformer
    recipe = shrunk(tmp_path, models, names, methods)
    tasks = json.loads(done(bench(recipe, "--json")).stdout)["tasks"]
    measured = [(task["task"], task["split"], task["queries"]) for task in tasks]
    assert measured == [(name, "dev", USERS) for name in names]
    with_items = [method for method in methods if METHOD_KINDS[method].items]
    labels = [f"{method}, k=4" if method in with_items else method for method in methods]
    readers = [method for method in methods if METHOD_KINDS[method].meets_strangers]
    for task in tasks:
        found = [row["label"] for row in task["comparison"]["rows"]]
        assert [label for label in found if not label.endswith("stranger's history")] == labels
        assert len(found) == len(labels) + len(readers)
        for method in methods:  # what k is chosen by is what is reported
            found = [path.name for path in (tmp_path / "out" / task["task"] / method).glob("*/*.json")]
            assert ("dev-k4.json" in found, "test.json" in found) == (method in with_items, method not in with_items)
    text = (tmp_path / "out" / "report.md").read_text()
    assert f"| PPlug | {' | '.join(published)} |" in text
    assert "none of these scores is of data that was held out" in text


def test_lamps_files_are_read_to_their_end_before_any_work(models, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "run_isolated", lambda work: pytest.fail(f"{work} was done"))
    folder = tmp_path / "lamp" / "LaMP_2"
    write_lamp(folder)
    words = {"tasks": [{"task": "lamp-2", "lamp": "lamp/LaMP_2"}], "methods": ["plain"]}
    result = bench(write_recipe(tmp_path, models, **words))
    assert "no query with a known answer in the split 'test'" in " ".join(result.stderr.split())
    assert 'split = "dev"' in result.stderr
    questions = json.loads((folder / "dev_questions.json").read_text())
    (folder / "dev_questions.json").write_text(json.dumps([*questions, {"id": "last"}]))
    result = bench(write_recipe(tmp_path, models, **words, split="dev"))
    assert result.exit_code == 1
    assert "dev_questions.json" in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_shipped_lamp_recipe_is_the_papers(tmp_path):
    """Against arXiv 2409.11901, section 4.3, and its code: what each task's runs are trained and answered with.

    An epoch of the code holds each example eleven times; LaMP-3 has one such, and answers of 10 tokens.
    """
    assert [source.task for source in SHIPPED.tasks] == [f"lamp-{number}" for number in range(1, 8)]
    assert SHIPPED.k == (4,)
    assert SHIPPED.chooses_on_measured
    for source in SHIPPED.tasks:
        task = load_task(source.task)
        run = base_run(SHIPPED, TaskLayout(source, task, source.task, tmp_path, tmp_path))
        training = run.training
        assert (run.backbone.model, run.encoder.model) == ("google/flan-t5-xxl", "BAAI/bge-base-en-v1.5")
        assert (training.learning_rate, training.weight_decay, training.warmup) == (1e-4, 1e-4, 0.05)
        assert training.encoder_learning_rate == training.learning_rate
        assert training.batch_size * training.gradient_accumulation == 64
        draws, tokens = (11, 10) if source.task == "lamp-3" else (22, 128)
        assert (training.epochs, training.max_output_tokens) == (draws, tokens)
        assert decoding_of(SHIPPED, run) == Decoding("beam", 4, tokens)
        assert (training.max_input_tokens, task.history.max_items) == (256, 512)
        assert training.queries == 0  # all


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_can_be_read_and_names_tasks_there_are(path):
    for source in read_recipe(path).tasks:
        name = Path(source.task).stem  # a script makes the file of one that is not built in, and of the same name
        assert load_task(name).name == name


def test_a_published_score_is_of_its_split():
    table = read_published(BENCHMARKS / "published" / "lamp_time_split.toml")
    for split, value in (("dev", 0.231), ("test", 0.242)):
        found = {each.like: each.value for each in published_scores(table, "lamp-3", split=split)}
        assert found["plug"] == value
    assert published_scores(table, "lamp-3", split="train") == ()
