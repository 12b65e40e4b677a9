import json

import pytest

from tests.evaluation.factories import make_examples, make_report, make_reports


@pytest.fixture
def folder(tmp_path):
    for name, report in zip("abcd", make_reports().values(), strict=True):
        report.write(tmp_path / f"{name}.json")
    return tmp_path


def test_reports_are_shown_in_one_table(personaplug, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    result = personaplug("compare", *sorted(folder.glob("*.json")))
    assert (result.exit_code, result.stderr) == (0, "")
    for words in ("differences to tuned-prompt", "Accuracy ↑", "Nats per token ↓", "plain", "own minus stranger's"):
        assert words in result.stdout


def test_the_table_is_also_written_as_a_page_and_as_markdown(personaplug, folder):
    outputs = ("--html", folder / "page.html", "--markdown", folder / "table.md")
    result = personaplug("compare", *sorted(folder.glob("*.json")), *outputs)
    assert result.exit_code == 0
    assert [f"written: {path}" for path in outputs[1::2]] == result.stdout.splitlines()[-2:]
    assert (folder / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "| **plug** |" in (folder / "table.md").read_text(encoding="utf-8")


def test_a_program_reads_scores_differences_and_controls(personaplug, folder):
    found = json.loads(personaplug("compare", *sorted(folder.glob("*.json")), "--json").stdout)
    assert (found["baseline"], found["persona"]) == ("tuned-prompt", "plug")
    assert found["rows"][2]["gaps"][0]["difference"]["value"] == 1
    assert found["controls"][0]["gaps"][0]["difference"]["value"] == 1


def test_the_baseline_is_chosen_by_name(personaplug, folder):
    result = personaplug("compare", *sorted(folder.glob("*.json")), "--baseline", "plain", "--json")
    assert json.loads(result.stdout)["baseline"] == "plain"
    result = personaplug("compare", folder / "a.json", "--baseline", "bm25")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Hint: there are: plain" in result.stderr


def test_the_help_names_the_controls_in_the_order_in_which_one_is_taken(personaplug, folder):
    shown = " ".join(personaplug("compare", "--help").stdout.split())
    assert "the first that is there of tuned-lora, tuned-prompt, plain" in shown
    make_report("tuned-lora").write(folder / "e.json")
    result = personaplug("compare", *sorted(folder.glob("*.json")), "--json")
    assert json.loads(result.stdout)["baseline"] == "tuned-lora"


def test_reports_of_other_queries_are_an_error(personaplug, folder):
    make_report("bm25", examples=make_examples(3)).write(folder / "e.json")
    result = personaplug("compare", *sorted(folder.glob("*.json")))
    assert result.exit_code == 1
    assert "bm25 against tuned-prompt: they answer different queries" in result.stderr


def test_a_file_that_is_no_report_is_an_error_that_names_it(personaplug, folder):
    (folder / "e.json").write_text("{}")
    result = personaplug("compare", folder / "a.json", folder / "e.json")
    assert result.exit_code == 1
    assert f"{folder / 'e.json'}: not a report of version 1" in result.stderr


def test_no_report_at_all_is_wrong_usage(personaplug):
    assert personaplug("compare").exit_code == 2
