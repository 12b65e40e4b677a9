import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from personaplug.evaluation.comparison import compare
from personaplug.reports.pictures import draw_attention, draw_history_lengths, draw_scores, styles_of
from tests.evaluation.factories import make_examples, make_report, make_reports

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def reports():
    return make_reports(examples=make_examples(36))


@pytest.fixture(scope="module")
def pictures(reports):
    return draw_all(reports)


def draw_all(reports):
    comparison = compare(reports)
    styles = styles_of(comparison, reports)
    attention = {label: report.attention for label, report in reports.items() if report.attention}
    return {
        "scores": draw_scores(comparison, styles),
        "lengths": draw_history_lengths(reports, comparison.metrics, styles=styles),
        "attention": draw_attention(attention, styles),
    }


def texts(svg):
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_scores_name_each_method_and_metric(reports, pictures):
    assert {*reports, "Accuracy ↑", "Macro-F1 ↑", "Nats per token ↓"} <= set(texts(pictures["scores"]))


def test_the_lengths_name_each_method_and_bucket(reports, pictures):
    assert {*reports, "1-4", "5-8", "9-16", "17-32", "33+"} <= set(texts(pictures["lengths"]))


def test_the_attention_names_only_methods_that_have_it(pictures):
    found = set(texts(pictures["attention"]))
    assert {"plug", "plug, stranger's history", "newest", "oldest"} <= found
    assert "plain" not in found


def test_pictures_are_the_same_each_time(reports, pictures):
    assert draw_all(reports) == pictures


def test_no_id_stands_in_two_pictures_and_every_reference_stays_within_its_own(pictures):
    ids = {name: set(re.findall(r'\bid="([^"]*)"', svg)) for name, svg in pictures.items()}
    assert not ids["scores"] & ids["lengths"] | ids["lengths"] & ids["attention"] | ids["scores"] & ids["attention"]
    for name, svg in pictures.items():
        assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', svg)) <= ids[name]


def test_a_name_is_text_and_neither_markup_nor_mathematics():
    reports = {"<b>$\\alpha$ &": make_report(), "plug": make_report("plug")}
    assert "<b>$\\alpha$ &" in texts(draw_all(reports)["scores"])


def test_a_stranger_keeps_the_methods_color_dashed_and_hollow(reports):
    styles = styles_of(compare(reports), reports)
    own, stranger = styles["plug"], styles["plug, stranger's history"]
    assert own.color == stranger.color
    assert (own.dash, stranger.dash) == ("-", "--")
    assert own.fill != stranger.fill


def test_a_plug_keeps_its_color_by_whatever_name(reports):
    renamed = {label: replace(each, method="ours") if each.kind == "plug" else each for label, each in reports.items()}
    renamed = {each.label: each for each in renamed.values()}
    assert styles_of(compare(renamed), renamed)["ours"].color == styles_of(compare(reports), reports)["plug"].color


def test_baseline_and_persona_stand_out_and_colors_differ(reports):
    styles = styles_of(compare(reports), reports)
    assert [label for label, style in styles.items() if style.is_bold] == [
        "tuned-prompt",
        "plug",
        "plug, stranger's history",
    ]
    assert len({styles[label].color for label in ("plain", "tuned-prompt", "plug")}) == 3
