from dataclasses import replace
from pathlib import Path

import pytest

from personaplug.errors import PersonaPlugError
from personaplug.evaluation.comparison import compare, label_reports, verdict
from personaplug.evaluation.significance import Difference
from tests.evaluation.factories import RATINGS, TITLES, make_examples, make_report, make_reports


def row(comparison, label):
    return next(row for row in comparison.rows if row.label == label)


def test_a_row_holds_the_reports_scores_and_its_distance_from_the_baseline():
    reports = make_reports()
    comparison = compare(reports)
    assert comparison.metrics == ("accuracy", "macro-f1", "nats-per-token", "nats-per-answer")
    assert [row.label for row in comparison.rows] == list(reports)
    plug = row(comparison, "plug")
    assert plug.scores == reports["plug"].scores
    assert [gap.difference.value for gap in plug.gaps] == pytest.approx([1, 1 / 3, 0.8 - 1.2, 2 * (0.8 - 1.2)])
    assert row(comparison, "tuned-prompt").gaps == (None,) * 4


def test_lower_nats_are_better_and_lower_accuracy_is_worse():
    comparison = compare(make_reports(examples=make_examples(30)), baseline="plug")
    assert [gap.verdict for gap in row(comparison, "plain").gaps] == ["worse"] * 4
    assert [gap.verdict for gap in row(compare(make_reports(examples=make_examples(30))), "plug").gaps] == [
        "better"
    ] * 4


@pytest.mark.parametrize(
    ("low", "high", "p_value", "word"),
    [
        (0.1, 0.3, 0.01, "better"),
        (-0.3, -0.1, 0.01, "worse"),
        (-0.1, 0.3, 0.01, "unclear"),
        (0.0, 0.3, 0.01, "unclear"),
        (0.1, 0.3, 0.05, "unclear"),
    ],
)
def test_a_difference_is_clear_where_interval_and_test_say_so(low, high, p_value, word):
    found = Difference((low + high) / 2, low, high, p_value)
    turned = {"better": "worse", "worse": "better"}
    assert verdict(found, higher_is_better=True) == word
    assert verdict(found, higher_is_better=False) == turned.get(word, word)


@pytest.mark.parametrize(
    ("methods", "chosen"),
    [
        (["plug", "tuned-prompt", "plain"], "tuned-prompt"),
        (["plug", "plain"], "plain"),
        (["plug", "bm25"], "plug"),
        (["plug"], "plug"),
    ],
)
def test_the_baseline_is_the_tuned_prompt_else_plain_else_the_first(methods, chosen):
    assert compare({method: make_report(method) for method in methods}).baseline == chosen


def test_the_baseline_can_be_named():
    assert compare(make_reports(), baseline="plug, stranger's history").baseline == "plug, stranger's history"


def test_a_baseline_that_is_not_there_is_an_error_that_lists_what_is():
    with pytest.raises(PersonaPlugError, match="no report is of 'bm25'") as error:
        compare(make_reports(), baseline="bm25")
    assert "tuned-prompt" in error.value.hint


def test_own_history_is_compared_with_a_strangers():
    [control] = compare(make_reports()).controls
    assert control.label == "plug"
    assert [gap.difference.value for gap in control.gaps] == pytest.approx([1, 1 / 3, 0.8 - 1.3, 2 * (0.8 - 1.3)])


def test_a_method_measured_twice_with_strangers_has_no_single_control():
    reports = make_reports()
    reports["plug, stranger's history (2)"] = reports["plug, stranger's history"]
    assert compare(reports).controls == ()


def test_a_plug_is_the_persona_by_whatever_name_and_nothing_else_is():
    plain, plug = make_report("plain"), replace(make_report("plug"), method="mean pooling")
    named_like_one = replace(make_report("bm25"), method="plugged in")
    reports = {report.label: report for report in (plain, named_like_one, plug)}
    assert compare(reports).persona == "mean pooling"


def test_the_persona_is_the_first_plug_on_own_histories():
    reports = make_reports()
    assert compare(reports).persona == "plug"
    assert compare(dict(reversed(reports.items()))).persona == "plug"
    assert compare({"plain": reports["plain"]}).persona is None


def test_reports_of_different_tasks_or_splits_are_refused():
    other_split = replace(make_report("plug"), setting=replace(make_report().setting, split="dev"))
    for other in (make_report("plug", task=TITLES), other_split):
        with pytest.raises(PersonaPlugError, match="different tasks or splits"):
            compare({"plain": make_report(), "plug": other})


def test_reports_of_different_queries_are_refused_with_both_names():
    with pytest.raises(PersonaPlugError, match=r"plug against plain: .*9 are in both, 0 only in the first, 3 only in"):
        compare({"plain": make_report(), "plug": make_report("plug", examples=make_examples(9))})


def test_a_metric_that_one_method_lacks_is_a_gap_in_the_table():
    reports = {"plain": make_report(), "plug": replace(make_report("plug"), scores=make_report("plug").scores[:2])}
    plug = row(compare(reports), "plug")
    assert plug.scores[2] is None
    assert plug.gaps[2] is None
    assert plug.gaps[0] is not None


def test_reports_without_any_score_are_refused():
    with pytest.raises(PersonaPlugError, match="no report has a score"):
        compare({"plain": make_report(examples=make_examples(target=None))})


def test_ratings_are_compared_on_the_scale_of_the_report():
    examples = make_examples(target="5")
    sure, unsure = (make_report(says=says, task=RATINGS, examples=examples) for says in ("4", "no idea"))
    gap = row(compare({"plain": unsure, "plug": sure}), "plug").gaps[0]
    assert gap.difference.value == pytest.approx(1 - 4)


def test_a_label_is_the_method_and_with_others_of_the_same_the_file_too():
    plain, plug = make_report(), make_report("plug")
    labels = label_reports({Path("a.json"): plain, Path("b.json"): plug, Path("c/d.json"): plug, Path("e.json"): plain})
    assert list(labels) == ["plain (a)", "plug (b)", "plug (d)", "plain (e)"]
    assert list(label_reports({Path("a.json"): plain, Path("b.json"): plug})) == ["plain", "plug"]


def test_reports_of_one_method_and_one_file_name_keep_their_folders():
    plug = make_report("plug")
    labels = label_reports({Path("one/plug.json"): plug, Path("two/plug.json"): plug})
    assert list(labels) == ["plug (one/plug.json)", "plug (two/plug.json)"]
