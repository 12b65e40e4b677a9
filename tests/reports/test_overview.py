"""All tasks of a bench side by side."""

import pytest

from personaplug.evaluation.averaging import averages
from personaplug.evaluation.bench import BenchResult, KChoice, KScore, summarize
from personaplug.reports.bench_markdown import bench_markdown
from personaplug.reports.bench_page import bench_html
from personaplug.reports.formatting import cell_text
from personaplug.reports.overview import overview
from personaplug.reports.table import overview_table
from tests.evaluation.factories import RATINGS, TAGS, make_examples, make_report
from tests.reports.test_table import lines


def runs(task, k, *, right, wrong, **more):
    """Make a mixed plug that is right, its control and a tuned prompt that are not, and whoever else says what."""
    asked = {"task": task, "examples": make_examples(30, target=right)}
    mixed = f"plug+bm25, k={k}"
    return {
        "tuned-prompt": [make_report("tuned-prompt", says=wrong, **asked)],
        mixed: [make_report(mixed, says=right, **asked)],
        f"{mixed}, stranger's history": [make_report(mixed, says=wrong, history="stranger", **asked)],
        **{name: [make_report(name, says=says, **asked)] for name, says in more.items()},
    }


@pytest.fixture
def measured():
    """Two tasks, whose scores point in opposite directions and which chose different numbers of items."""
    return [runs(TAGS, 1, right="a", wrong="b"), runs(RATINGS, 4, right="5", wrong="1", plain="1")]


@pytest.fixture
def tasks(measured):
    choices = [KChoice("plug+bm25", "accuracy", (KScore(k, 1.0),), KScore(k, 1.0), is_retrieval=False) for k in (1, 4)]
    return [summarize(each, [choice]) for each, choice in zip(measured, choices, strict=True)]


def test_a_contender_has_one_row_whatever_number_of_items_a_task_chose(tasks):
    shown = {row.label: [cell_text(cell) for cell in row.cells] for row in overview(tasks).rows}
    assert shown == {
        "tuned-prompt": ["0.000", "4.000"],
        "plug+bm25": ["1.000 ▲", "0.000 ▲"],
        "plug+bm25, stranger's history": ["0.000", "4.000"],
        "plain": ["\N{EN DASH}", "4.000"],
        "plug+bm25: own minus stranger's": ["+1.000 ▲", "\N{MINUS SIGN}4.000 ▲"],
    }


def test_gaps_are_to_a_baseline_that_is_named_as_its_row_is(measured):
    choices = [KChoice("plug+bm25", "accuracy", (KScore(k, 1.0),), KScore(k, 1.0), is_retrieval=False) for k in (1, 4)]
    tasks = [summarize(each, [choice], baseline=choice.label) for each, choice in zip(measured, choices, strict=True)]
    shown = overview(tasks)
    assert shown.baseline == "plug+bm25"
    assert [cell.gap for row in shown.rows if row.label == shown.baseline for cell in row.cells] == [None, None]


def test_it_stands_on_page_in_markdown_and_in_the_terminal_where_there_is_more_than_one_task(tasks, measured):
    both, one = (BenchResult("a bench", "", (0,), tuple(some)) for some in (tasks, tasks[:1]))
    assert "| plug+bm25 | 1.000 ▲ | 0.000 ▲ |" in bench_markdown(both)
    assert "All tasks" not in bench_markdown(one)
    means = [averages(each) for each in measured]
    assert "0.000 ▲" in bench_html(both, means)
    assert "▲" not in bench_html(one, means[:1])
    assert "plug+bm25 1.000 ▲ 0.000 ▲" in lines(overview_table(overview(tasks)), 60)
