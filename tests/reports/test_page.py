from dataclasses import replace
from html.parser import HTMLParser

import pytest

from personaplug.evaluation.comparison import compare
from personaplug.reports.page import LONGEST_TEXT, to_html
from tests.evaluation.factories import TITLES, make_examples, make_report, make_reports

ATTACK = "<script>alert('x')</script> <img src=x onerror=alert(1)> \" ' & {{ 90001 * 90007 }}"


class Reader(HTMLParser):
    """Collects the tags, attributes and text of a page, and notices what is not closed."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def page_of(reports, **options):
    return to_html(compare(reports), reports, **options)


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave out what takes the time, where a test is about the words."""
    for name in ("draw_scores", "draw_history_lengths", "draw_attention"):
        monkeypatch.setattr(f"personaplug.reports.page.{name}", lambda *_, **__: "")


@pytest.fixture(scope="module")
def page():
    return Reader(page_of(make_reports()))


def test_every_tag_is_closed(page):
    assert page.open == []


def test_the_page_says_what_was_measured_and_how(page):
    for formatting in (
        "tags",
        "Split test",
        "Queries 12",
        "Users 4",
        "Items in a history mean 6.5, median 6.5",
        "Seed 0",
        "a machine",
        "personaplug evaluate --method plug",
        "Score against length of history",
        "Where the attention goes",
        "Answers with and without the persona",
    ):
        assert formatting in page.text


def test_the_table_has_a_row_a_method_with_interval_p_and_verdict(page):
    for formatting in (
        "plain 0.000 [0.000, 0.000]",
        "tuned-prompt baseline 0.000",
        "plug 1.000 [1.000, 1.000] +1.000 [+1.000, +1.000] p 0.",
        "plug, stranger's history 0.000",
        "plug own history less a stranger's +1.000",
    ):
        assert formatting in page.text


def test_the_page_needs_nothing_beside_itself(page):
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not {"src", "action"} & {name for name, _ in page.attributes}
    assert all(value.startswith("#") for name, value in page.attributes if name.endswith("href"))
    assert page.tags.count("svg") == 3


def test_whatever_users_methods_and_commands_hold_is_shown_as_text():
    examples = make_examples(4, text=ATTACK, target=ATTACK)
    reports = {
        "tuned-prompt": make_report("tuned-prompt", says=f"no {ATTACK}", task=TITLES, examples=examples),
        f"plug {ATTACK}": make_report("plug", says=ATTACK, task=TITLES, examples=examples),
    }
    made = {
        label: replace(
            report, task=ATTACK, setting=replace(report.setting, command=ATTACK, machine=ATTACK, split=ATTACK)
        )
        for label, report in reports.items()
    }
    page = Reader(page_of(made))
    assert not {"script", "img"} & set(page.tags)
    assert not {"onerror", "src"} & {name for name, _ in page.attributes}
    assert page.text.count(ATTACK) >= 15
    assert str(90_001 * 90_007) not in page.text.replace(ATTACK, "")


@pytest.mark.usefixtures("no_pictures")
def test_long_texts_are_cut_and_the_page_stays_small():
    long = "🙂 word " * 14_000 + "x" * 100_000
    examples = make_examples(6, text=long, target=long)
    reports = {label: make_report(label, says=long, examples=examples) for label in ("plain", "plug")}
    page = page_of(reports)
    assert len(page) < 50_000
    assert "🙂 word" in page
    assert max(len(text) for text in Reader(page).texts[1:] if "word" in text) <= LONGEST_TEXT


@pytest.mark.usefixtures("no_pictures")
def test_text_that_utf_8_cannot_write_does_not_stop_the_page():
    reports = make_reports(task=TITLES, examples=make_examples(text="broken \ud800 emoji"))
    assert "broken ? emoji" in page_of(reports).encode("utf-8").decode()


@pytest.mark.usefixtures("no_pictures")
def test_the_same_seed_gives_the_same_page_and_another_draws_other_answers():
    examples = [replace(example, input=f"question {example.id}") for example in make_examples(40)]
    reports = make_reports(examples=examples)
    pages = [page_of(reports, seed=seed) for seed in (0, 0, 1)]
    assert pages[0] == pages[1] != pages[2].replace("(seed 1)", "(seed 0)")


def test_what_was_drawn_is_told_with_the_counts_it_was_drawn_from(page):
    assert "the persona helped 12 queries, hurt 0 and left 0 as they were" in page.text
    assert "drawn by lot (seed 0), not chosen" in page.text


@pytest.mark.parametrize("methods", [["bm25", "plain"], ["plug"], ["plug", "plain"]])
def test_a_page_is_made_of_whatever_reports_there_are(methods):
    page = Reader(page_of({method: make_report(method) for method in methods}))
    assert page.open == []
    assert ("Answers with and without the persona" in page.text) == (methods == ["plug", "plain"])
    assert ("Where the attention goes" in page.text) == ("plug" in methods)
