import json
import sys
from dataclasses import replace

import pytest

from benchmarks.contenders import comparison_markdown, first_queries, main, only, reports_in
from personaplug.bench.json_files import plain, write_json
from personaplug.errors import DataError
from personaplug.evaluation.bench import BenchResult, choose_k, summarize
from tests.evaluation.factories import TAGS, make_examples, make_report

HISTORIES = (3, 5, 2, 4, 9, 8)
"""The queries of two users in turn; the third and the fourth are the first of each."""


def report(name, *, says="a", history="own", histories=HISTORIES):
    made = make_report(name, says=says, task=TAGS, examples=make_examples(6, target="a"), history=history)
    answers = [
        replace(answer, user_id=f"user {at % 2}", history_items=histories[at]) for at, answer in enumerate(made.answers)
    ]
    return replace(made, answers=tuple(answers))


@pytest.fixture
def bench(tmp_path):
    """Leave the files of a bench that chose k=4, and those of other numbers and seeds that it had before."""
    stranger = report("plug", says="b", history="stranger", histories=HISTORIES[::-1])
    measured = {
        "tuned-prompt/seed-0/test": report("tuned-prompt", says="b"),
        "tuned-prompt/seed-1/test": report("tuned-prompt", says="b"),
        "plug-4-personas/seed-0/test": report("plug"),
        "plug-4-personas/seed-1/test": report("plug"),
        "plug-4-personas/seed-7/test": report("plug", says="b"),
        "plug-4-personas/seed-0/stranger": stranger,
        "plug-4-personas/seed-1/stranger": stranger,
        "bm25/once/test-k1": report("bm25", says="b"),
        "bm25/once/test-k4": report("bm25"),
        "bm25/once/dev-k1": report("bm25", says="b"),
        "bm25/once/dev-k4": report("bm25"),
    }
    for place, each in measured.items():
        path = tmp_path / "tags" / f"{place}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        each.write(path)
    choice = choose_k("bm25", "accuracy", dev={k: [measured[f"bm25/once/dev-k{k}"]] for k in (1, 4)})
    named = {label: [report(label)] * 2 for label in ("tuned-prompt", "plug, 4 personas")}
    task = summarize(named | {"bm25, k=4": [report("bm25, k=4")]}, [choice])
    (tmp_path / "report.json").write_text(json.dumps(plain(BenchResult("a bench", "", (0, 1), (task,)))))
    write_json(tmp_path / "tags" / "made_of.json", {"task": {"history": {"max_items": 9}}})
    return tmp_path / "tags", task


def test_each_user_is_left_with_the_query_that_has_the_shortest_history():
    made = report("plug")
    kept = only(made, first_queries(made.answers, most=9))
    assert [(answer.user_id, answer.history_items) for answer in kept.answers] == [("user 0", 2), ("user 1", 4)]
    assert kept.score("accuracy").answers == 2


@pytest.mark.parametrize(
    ("histories", "users"),
    [
        ((9, 9, 9, 8, 9, 9), {"user 1"}),  # of the first user's queries none is known to be the first
        ((8, 9, 8, 9, 9, 8), {"user 0", "user 1"}),  # two that show the same eight items
    ],
)
def test_users_whose_first_query_nobody_can_tell_are_left_out_and_counted(histories, users):
    found = first_queries(report("plug", histories=histories).answers, most=9)
    assert {user for user, _ in found.queries} == users
    assert found.left_out == 2 - len(users)
    assert f"left out: {found.left_out} users" in found.in_words


def test_the_only_query_of_a_user_is_the_first_however_long_its_history():
    (answer, *_) = report("plug", histories=(9,) * 6).answers
    assert first_queries([answer], most=9).queries == {answer.query}


def test_the_reports_are_those_of_the_benchs_own_number_of_items_and_seeds(bench):
    folder, task = bench
    reports = reports_in(folder, task, seeds=(0, 1))
    assert {label: len(each) for label, each in reports.items()} == {
        "tuned-prompt": 2,
        "plug, 4 personas": 2,
        "plug, 4 personas, stranger's history": 2,
        "bm25, k=4": 1,
    }
    right = {label: {report.score("accuracy").value for report in each} for label, each in reports.items()}
    assert right["bm25, k=4"] == right["plug, 4 personas"] == {1}


def test_where_k_was_chosen_by_the_measured_queries_the_reports_on_dev_are_read(bench):
    folder, task = bench
    for path in folder.glob("bm25/once/test-*.json"):
        path.unlink()
    (read,) = reports_in(folder, task, seeds=(0, 1))["bm25, k=4"]
    assert read.score("accuracy").value == 1


def test_a_strangers_history_is_compared_on_the_same_queries_however_long_it_is(bench):
    text = comparison_markdown(bench[0], first=True)
    assert "First queries of 2 users" in text
    assert "plug, 4 personas: own minus stranger's | +1.000" in text


def test_differences_are_to_the_benchs_baseline_or_to_any_contender(bench, capsys, monkeypatch):
    for words, baseline in (([], "tuned-prompt"), (["--baseline", "bm25, k=4"], "bm25, k=4")):
        monkeypatch.setattr(sys, "argv", ["contenders", str(bench[0]), *words])
        main()
        assert f"differences to {baseline}." in capsys.readouterr().out


def test_all_queries_are_compared_where_the_first_are_not_asked_for(bench):
    text = comparison_markdown(bench[0], baseline="bm25, k=4")
    assert "First queries" not in text
    assert "differences to bm25, k=4." in text


def test_a_bench_that_is_not_finished_is_an_error_that_says_so(bench):
    (bench[0].parent / "report.json").unlink()
    with pytest.raises(DataError, match=r"no result of a bench"):
        comparison_markdown(bench[0])


def test_a_folder_that_is_no_task_of_the_bench_is_an_error_that_names_the_tasks(bench):
    with pytest.raises(DataError, match="no such task") as caught:
        comparison_markdown(bench[0].parent / "titles")
    assert "tags" in caught.value.hint
