from dataclasses import replace

import pytest
from rich.console import Console

from personaplug.evaluation.comparison import compare
from personaplug.reports.table import answers_table, comparison_table, report_table
from tests.evaluation.factories import make_examples, make_report, make_reports


def lines(table, width=110):
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return [" ".join(line.split()) for line in capture.get().replace("\N{MINUS SIGN}", "-").splitlines()]


def test_each_metric_is_followed_by_every_method_and_the_control():
    table = lines(comparison_table(compare(make_reports(examples=make_examples(30)))))
    start = table.index("Nats per token ↓")
    assert table[start + 1 : start + 6] == [
        "plain 1.500 [1.500, 1.500] +0.300 [+0.300, +0.300] 0.002 worse",
        "tuned-prompt 1.200 [1.200, 1.200]",
        "plug 0.800 [0.800, 0.800] -0.400 [-0.400, -0.400] 0.002 better",
        "plug, stranger's history 1.300 [1.300, 1.300] +0.100 [+0.100, +0.100] 0.002 worse",
        "plug, own minus stranger's -0.500 [-0.500, -0.500] 0.002 better",
    ]
    assert {"Accuracy ↑", "Macro-F1 ↑", "tags, test; differences to tuned-prompt"} <= set(table)


@pytest.mark.parametrize("width", [80, 200])
def test_no_number_and_no_verdict_is_cut_off(width):
    text = " ".join(lines(comparison_table(compare(make_reports(examples=make_examples(30)))), width))
    assert "…" not in text
    assert "Nats per token ↓" in text
    assert text.count("better") + text.count("worse") + text.count("unclear") == 4 * 4


def test_a_name_is_no_markup():
    table = comparison_table(compare({"plain": make_report(), "[red]bm25[/red]": make_report("bm25")}))
    assert sum(line.startswith("[red]bm25[/red]") for line in lines(table)) == 4


def test_a_report_is_shown_with_its_counts():
    table = lines(report_table(make_report("plug", history="stranger")))
    assert table[0] == "tags, test: plug, stranger's history"
    assert "Accuracy ↑ 1.000 [1.000, 1.000] 12 4" in table


def test_answers_stand_side_by_side_one_a_user_in_the_order_of_the_queries_and_no_text_is_markup():
    examples = [replace(each, input=f"[red]{at}") for at, each in enumerate(make_examples(8))]
    reports = [make_report("plain", says="b", examples=examples), make_report("plug", says="a", examples=examples)]
    shown = lines(answers_table(reports, names={"plain": "without", "plug": "with"}, count=2))
    users = [answer.user_id for answer in reports[0].answers]
    first = [users.index(user) for user in dict.fromkeys(users)][:2]
    assert [line.split()[-1] for line in shown if "asked" in line] == [f"[red]{at}" for at in first]
    assert [line.split()[-1] for line in shown if line.split()[:1] == ["with"]] == ["a", "a"]
    assert [line.split()[-1] for line in shown if line.split()[:1] == ["without"]] == ["b", "b"]
