"""``personaplug demo`` on a tiny language model, as small as it goes."""

import json

import pytest

from personaplug.cli.demo import SHOWN, TASKS
from tests.cli.conftest import done

SMALLEST = ("--users", 40, "--train", 32, "--test", 20)
ROWS = ("plain", "tuned-prompt", "tuned-lora", "bm25, k=2", "plug")


@pytest.mark.timeout(600)
def test_the_demo_ends_with_a_row_for_every_contender_and_a_page_with_pictures(personaplug, models, tmp_path):
    out = tmp_path / "[red]"  # markup to a careless terminal
    result = done(personaplug("demo", "--out", out, "--backbone", models["decoder-only"], *SMALLEST))

    shown = " ".join(result.stdout.split())
    for name in ("the user wrote", "without persona", "with persona", "with a stranger's"):
        assert shown.count(name) == SHOWN
    assert all(f" {row} " in shown for row in [*ROWS, "plug, stranger's"])
    page = out / TASKS[0] / "report.html"
    assert result.stdout.splitlines()[-1].strip() == str(page)
    assert "<svg" in page.read_text()

    reports = [json.loads(path.read_text()) for path in (out / TASKS[0]).glob("*.json")]
    measured = sorted((each["method"], each["setting"]["history"]) for each in reports)
    assert measured == sorted([*((row, "own") for row in ROWS), ("plug", "stranger")])
    assert len({tuple(answer["id"] for answer in each["answers"]) for each in reports}) == 1
    assert {len(each["answers"]) for each in reports} == {20}

    for step in ("index ", "train plug ", "train tuned-prompt ", "evaluate plain "):
        assert step in result.stderr
        assert step not in result.stdout


def test_too_few_users_are_wrong_usage(personaplug, tmp_path):
    assert personaplug("demo", "--out", tmp_path, "--users", 39).exit_code == 2
