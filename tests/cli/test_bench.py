"""``personaplug bench`` from a recipe to its report, on tiny models."""

import json

import pytest

from personaplug.cli.benchmark import run as bench_run
from personaplug.evaluation.report import Report
from tests.cli.bench_world import USERS, bench, contents, write_recipe
from tests.cli.conftest import done


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Do the steps here: a process for each costs seconds. That it is another one elsewhere is a test of its own."""
    monkeypatch.setattr(bench_run, "apart", lambda work: work())


@pytest.fixture(scope="module")
def finished(models, tmp_path_factory):
    """Run a bench once; no test may change it."""
    recipe = write_recipe(tmp_path_factory.mktemp("bench"), models)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_run, "apart", lambda work: work())
        result = done(bench(recipe, "--json"))
    return recipe, result


def test_every_contender_stands_in_one_report_with_intervals_and_both_tests(finished):
    recipe, result = finished
    task = json.loads(result.stdout)["tasks"][0]
    labels = [row["label"] for row in task["comparison"]["rows"]]
    retrieval = [f"{choice['method']}, k={choice['chosen']['k']}" for choice in task["choices"]]
    assert labels == ["plain", "tuned-prompt", *retrieval, "plug", "plug, stranger's history"]
    assert task["comparison"]["baseline"] == "tuned-prompt"
    assert task["against_retrieval"]["baseline"] in retrieval
    assert task["comparison"]["metrics"][-1] == "nats-per-token"
    assert [control["label"] for control in task["comparison"]["controls"]] == ["plug"]
    assert [row["label"] for row in task["seeds"]] == ["tuned-prompt", "plug", "plug, stranger's history"]
    assert all(len(row["scores"]) == 2 for row in task["seeds"])
    assert (task["queries"], task["users"]) == (len(USERS), len(USERS))
    assert json.loads((recipe.parent / "out" / "report.json").read_text()) == json.loads(result.stdout)


def test_costs_stand_beside_the_scores(finished):
    rows = {row["label"]: row for row in json.loads(finished[1].stdout)["tasks"][0]["costs"]}
    assert all(row["seconds"] > 0 and row["peak_memory_mb"] > 0 for row in rows.values())
    assert rows["tuned-prompt"]["prompt_tokens"] == rows["plain"]["prompt_tokens"] + 5
    assert rows["plain"]["user_bytes"] == rows["tuned-prompt"]["user_bytes"] == 0
    assert rows["plug"]["user_bytes"] == 5 * 2 * 16 * 2  # items, views, dimensions, bytes of a float16


def test_the_page_and_the_markdown_hold_every_table_and_the_pictures(finished):
    out = finished[0].parent / "out"
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    for word in ("plug", "tuned-prompt", "s / 1,000", "bytes / user", "seed 1", "best retrieval on dev"):
        assert word in page
        assert word in text
    assert page.count("<svg") == 3


def test_scores_are_the_means_of_the_seeds_reports(finished):
    recipe, result = finished
    cells = [recipe.parent / "out" / "log" / "plug" / f"seed-{seed}" for seed in (0, 1)]
    alone = [Report.read(cell / "test.json").score("nats-per-token").value for cell in cells]
    task = json.loads(result.stdout)["tasks"][0]
    row = next(row for row in task["comparison"]["rows"] if row["label"] == "plug")
    assert alone[0] != alone[1]
    assert row["scores"][-1]["value"] == pytest.approx(sum(alone) / 2)


def test_a_second_run_does_nothing_and_gives_the_same_report(finished, monkeypatch):
    recipe, result = finished
    before = contents(recipe.parent)
    monkeypatch.setattr(bench_run, "apart", lambda work: pytest.fail(f"{work} was done again"))
    again = done(bench(recipe, "--json"))
    assert again.stdout == result.stdout
    assert contents(recipe.parent) == before
    assert "0 of" in again.stderr


def test_a_bench_that_is_killed_between_any_two_steps_goes_on_from_there(models, tmp_path, monkeypatch):
    recipe = write_recipe(tmp_path, models, seeds=[0], k=[1], methods=["plain", "bm25", "plug"])
    did = []

    def one_step(work):
        if did and did[-1] == "killed":
            did.pop()
        work()
        did.append(str(work))
        if len(did) < 6:
            did.append("killed")
            raise KeyboardInterrupt

    monkeypatch.setattr(bench_run, "apart", one_step)
    codes = []
    while not codes or codes[-1]:
        codes.append(bench(recipe).exit_code)
        did[:] = [word for word in did if word != "killed"]
    assert set(codes[:-1]) == {130}
    assert len(did) == len(set(did)) == 6  # index, train, dev, and plain, bm25, plug; the strangers' is the seventh
