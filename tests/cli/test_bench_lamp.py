"""A bench on files in LaMP's own format, in the paper's settings, with tiny models in the place of its own."""

import json
from pathlib import Path

import pytest

from personaplug.cli.benchmark import run as bench_run
from personaplug.cli.benchmark.recipe import read_recipe
from personaplug.evaluation.published import published_scores, read_published
from personaplug.plug.run import PRESETS
from personaplug.tasks.task import load_task
from tests.cli.bench_world import bench, write_recipe
from tests.cli.conftest import done

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TAGS = ("action", "comedy", "classic")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(bench_run, "apart", lambda work: work())


def write_lamp(folder, *, users=5):
    """Write train and dev of LaMP-2: each user has one tag for all."""
    folder.mkdir(parents=True)
    for first, split in enumerate(("train", "dev")):
        questions, golds = [], []
        for user in range(users):
            number, tag = 10 * (user + users * first), TAGS[user % len(TAGS)]
            profile = [
                {"id": f"{number + n}", "description": f"film {n}", "tag": tag, "date": f"2020-0{n + 1}-01"}
                for n in range(4)
            ]
            question = {"id": f"{split}{user}", "input": "Which tag? description: A film.", "profile": profile}
            questions.append(question)
            golds.append({"id": question["id"], "output": tag})
        (folder / f"{split}_questions.json").write_text(json.dumps(questions))
        (folder / f"{split}_outputs.json").write_text(json.dumps({"task": "LaMP_2", "golds": golds}))


def test_lamp_goes_from_its_files_to_a_report_with_the_published_numbers(models, tmp_path):
    write_lamp(tmp_path / "lamp" / "LaMP_2")
    shipped = read_recipe(BENCHMARKS / "lamp.toml")
    recipe = write_recipe(
        tmp_path,
        models,
        tasks=[{"task": "lamp-2", "lamp": "lamp/LaMP_2"}],
        preset=shipped.preset,
        split=shipped.split,
        methods=["plain", "tuned-prompt", "bm25", "plug"],
        k=[1],
        seeds=[0],
        backbone=models["encoder-decoder"],
        decoding={"strategy": "beam", "beams": 2, "max_new_tokens": 4},
        published=str(BENCHMARKS / shipped.published),
    )
    task = json.loads(done(bench(recipe, "--json")).stdout)["tasks"][0]
    assert (task["task"], task["split"], task["queries"]) == ("lamp-2", "dev", 5)
    assert {each["method"]: each["value"] for each in task["published"] if each["metric"] == "accuracy"}[
        "PPlug"
    ] == 0.565
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| PPlug | Accuracy | 0.565 |" in text
    assert "none of these scores is of data that was held out" in text


def test_lamps_files_are_read_to_their_end_before_any_work(models, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_run, "apart", lambda work: pytest.fail(f"{work} was done"))
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


def test_the_shipped_lamp_recipe_is_the_papers():
    assert read_recipe(BENCHMARKS / "lamp.toml").chooses_on_measured
    recipe, paper = read_recipe(BENCHMARKS / "lamp.toml"), PRESETS["paper"]
    assert [source.task for source in recipe.tasks] == [f"lamp-{number}" for number in range(1, 8)]
    assert (recipe.preset, recipe.decoding.strategy, recipe.decoding.beams, recipe.k) == ("paper", "beam", 4, (4,))
    assert (paper.backbone.model, paper.encoder.model) == ("google/flan-t5-xxl", "BAAI/bge-base-en-v1.5")


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_can_be_read_and_names_tasks_there_are(path):
    for source in read_recipe(path).tasks:
        assert load_task(source.task).name == source.task


def test_a_published_score_is_of_its_split():
    table = read_published(BENCHMARKS / "published" / "lamp_time_split.toml")
    for split, value in (("dev", 0.231), ("test", 0.242)):
        found = {each.like: each.value for each in published_scores(table, "lamp-3", split)}
        assert found["plug"] == value
    assert published_scores(table, "lamp-3", "train") == ()
