"""``personaplug bench`` from a recipe to its report, on tiny models."""

import json
import os
import signal
import sys

import pytest
import torch

from personaplug.bench import json_files, runner
from personaplug.evaluation.report import Report
from personaplug.methods.persona_plug import PlugMethod
from personaplug.plug.run import RunConfig
from personaplug.training.metrics_log import MetricsLog
from tests.bench.bench_world import USERS, bench, contents, write_recipe
from tests.cli.conftest import done


def interrupt(*_, **__):
    raise KeyboardInterrupt


def killed_at_the_second_step(recipe):
    """Run a bench in a process that is killed in the midst of its training; give the signal that it died of."""
    process = os.fork()  # and not a fresh one, which would be seconds in reading its modules
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) * -1
    try:
        torch.set_num_threads(1)  # the threads of the parent are not here
        MetricsLog.on_step_end = die_at_the_second_step
        bench(recipe)
    finally:
        os._exit(1)


def die_at_the_second_step(log, args, state, control, **_):  # noqa: ARG001 (the trainer's words)
    if state.global_step == 2:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Do the steps here: a process for each costs seconds. That it is another one elsewhere is a test of its own."""
    monkeypatch.setattr(runner, "run_isolated", lambda work: work())


@pytest.fixture(scope="module")
def finished(models, tmp_path_factory):
    """Run a bench once; no test may change it."""
    recipe = write_recipe(tmp_path_factory.mktemp("bench"), models)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "run_isolated", lambda work: work())
        result = done(bench(recipe, "--json"))
    return recipe, result


def test_every_contender_stands_in_one_report_with_intervals_and_both_tests(finished):
    recipe, result = finished
    task = json.loads(result.stdout)["tasks"][0]
    labels = [row["label"] for row in task["comparison"]["rows"]]
    retrieval = [f"{choice['method']}, k={choice['chosen']['k']}" for choice in task["choices"]]
    both = [label for own in (*retrieval, "plug") for label in (own, f"{own}, stranger's history")]
    assert labels == ["plain", "tuned-prompt", *both]
    assert task["comparison"]["baseline"] == "tuned-prompt"
    assert task["against_retrieval"]["baseline"] in retrieval
    assert task["comparison"]["metrics"][-1] == "nats-per-answer"
    assert [control["label"] for control in task["comparison"]["controls"]] == [*retrieval, "plug"]
    assert [row["label"] for row in task["seeds"]] == ["tuned-prompt", "plug", "plug, stranger's history"]
    assert all(len(row["scores"]) == 2 for row in task["seeds"])
    assert (task["queries"], task["users"]) == (len(USERS), len(USERS))
    assert json.loads((recipe.parent / "out" / "report.json").read_text()) == json.loads(result.stdout)


def test_seeds_share_what_was_read_of_inputs_and_nothing_is_left_of_it(finished):
    folder = finished[0].parent / "out" / "log"
    cards = [(folder / "plug" / f"seed-{seed}" / "run" / "README.md").read_text() for seed in (0, 1)]
    assert ["read by a training before this one" in card for card in cards] == [False, True]
    assert not (folder / ".inputs").exists()


def test_costs_stand_beside_the_scores(finished):
    rows = {row["label"]: row for row in json.loads(finished[1].stdout)["tasks"][0]["costs"]}
    assert all(row["seconds"] > 0 and row["peak_memory_mb"] > 0 for row in rows.values())
    assert rows["tuned-prompt"]["prompt_tokens"] == rows["plain"]["prompt_tokens"] + RunConfig().vectors
    assert rows["plain"]["user_bytes"] == rows["tuned-prompt"]["user_bytes"] == 0
    assert rows["plug"]["training_seconds"] > 0
    assert rows["plain"]["training_seconds"] is None
    assert rows["plug"]["user_bytes"] == 5 * (16 * 2 + 4)  # items: a vector of float16 to find it by, and its output


def test_the_page_and_the_markdown_hold_every_table_and_the_pictures(finished):
    out = finished[0].parent / "out"
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    for word in (
        "with personaplug 0.1.0",
        "plug",
        "tuned-prompt",
        "s / 1,000",
        "bytes / user",
        "training seconds",
        "seed 1",
        "best retrieval on dev",
    ):
        assert word in page
        assert word in text
    assert page.count("<svg") == 3


def test_scores_are_the_means_of_the_seeds_reports(finished):
    recipe, result = finished
    cells = [recipe.parent / "out" / "log" / "plug" / f"seed-{seed}" for seed in (0, 1)]
    alone = [Report.read(cell / "test.json").score("nats-per-answer").value for cell in cells]
    task = json.loads(result.stdout)["tasks"][0]
    row = next(row for row in task["comparison"]["rows"] if row["label"] == "plug")
    assert alone[0] != alone[1]
    assert row["scores"][-1]["value"] == pytest.approx(sum(alone) / 2)


def test_a_second_run_does_nothing_and_gives_the_same_report(finished, monkeypatch):
    recipe, result = finished
    before = contents(recipe.parent)
    monkeypatch.setattr(runner, "run_isolated", lambda work: pytest.fail(f"{work} was done again"))
    again = done(bench(recipe, "--json"))
    assert again.stdout == result.stdout
    assert contents(recipe.parent) == before
    assert "0 of" in again.stderr


def test_a_dry_run_counts_the_steps_and_does_none(finished, models, tmp_path):
    recipe, result = finished
    before = contents(recipe.parent)
    steps = len([line for line in result.stderr.splitlines() if line.startswith("[")])
    assert done(bench(recipe, "--dry-run")).stdout == f"log: {steps} steps, all done\n"
    assert contents(recipe.parent) == before
    fresh = write_recipe(tmp_path, models)
    assert "not all done" in done(bench(fresh, "--dry-run")).stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux" or torch.cuda.is_available(), reason="there a fork cannot compute")
def test_a_bench_that_is_killed_and_stopped_comes_to_the_same_answers(finished, models, tmp_path, monkeypatch):
    recipe = write_recipe(tmp_path, models, methods=["plug"], seeds=[0], strangers=False)
    run = tmp_path / "out" / "log" / "plug" / "seed-0" / "run"
    assert killed_at_the_second_step(recipe) == signal.SIGKILL
    assert (run / "config.toml").exists()
    assert not (run / "model.safetensors").exists()
    with monkeypatch.context() as patch:
        patch.setattr(json_files, "plain", interrupt)  # the word of the training is being written
        assert bench(recipe).exit_code == 130
    assert (run / "model.safetensors").exists()
    with monkeypatch.context() as patch:
        patch.setattr(PlugMethod, "respond", interrupt)
        assert bench(recipe).exit_code == 130
    task = json.loads(done(bench(recipe, "--json")).stdout)["tasks"][0]
    found, whole = (
        Report.read(each.parent / "out" / "log" / "plug" / "seed-0" / "test.json") for each in (recipe, finished[0])
    )
    assert (found.answers, found.scores) == (whole.answers, whole.scores)
    assert task["costs"][0]["training_seconds"] is None  # nobody knows how long the killed one took
    assert "0 of 3 steps done now" in done(bench(recipe)).stderr


def test_k_and_the_best_retrieval_are_chosen_on_dev_and_said(finished):
    recipe, result = finished
    task = json.loads(result.stdout)["tasks"][0]
    for choice in task["choices"]:
        folder = recipe.parent / "out" / "log" / choice["method"] / "once"
        scores = {k: Report.read(folder / f"dev-k{k}.json").score("rouge-1").value for k in (1, 2)}
        assert {each["k"]: each["score"] for each in choice["tried"]} == pytest.approx(scores)
        assert scores[choice["chosen"]["k"]] == max(scores.values())
        assert [path.name for path in folder.glob("test*")] == [f"test-k{choice['chosen']['k']}.json"]
    assert "chosen k=" in (recipe.parent / "out" / "report.md").read_text()
