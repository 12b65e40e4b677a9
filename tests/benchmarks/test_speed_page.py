"""The pages of figures: which rows stand in which table, and what their cells say."""

import re
from dataclasses import replace

import pytest

from benchmarks.speed import pictures
from benchmarks.speed.pictures import DOCS, between
from benchmarks.speed.results import read_results
from benchmarks.speed.row import Row, Target, how_made, results_here, write_rows
from benchmarks.speed.table import table
from benchmarks.speed.topics import TOPICS, Line, Topic

FAST = Row("fast", "toys", 6.0, "x", Target("at least", 5.0), {"pairs": 3})
SLOW = Row("slow", "toys", 4.0, "x", Target("at least", 5.0))
LINES = (Line("a hare", "a snail", ("fast",)), Line("a tortoise", "a snail", ("slow",)))
BY_MACHINE = Topic("race", LINES)

LEFT_OUT = re.compile(r"growth/|.*: embedded model, batch|dev evaluation, preset paper|.*beyond the gradients")
"""Pictures; answers of a model that is gone; and figures that the text has."""


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Give a function that measures rows on a processor, and reads all results."""
    monkeypatch.setattr("benchmarks.speed.results.RESULTS", tmp_path)
    monkeypatch.setattr("benchmarks.speed.row.RESULTS", tmp_path)

    def measure(*rows, processor="Abacus 9", file=None, threads=1, is_quick=False, time="2026-11-29"):
        for place in ("benchmarks.speed.row", "personaplug.evaluation.machine"):
            monkeypatch.setattr(f"{place}.processor", lambda: processor)
        made = how_made(threads=threads, is_quick=is_quick) | {"time": time}
        write_rows(rows, tmp_path / file if file else results_here(), made=made)
        return read_results()

    return measure


def test_each_processor_has_a_column_that_says_what_it_did_not_measure(measured):
    measured(FAST, SLOW)
    results = measured(replace(FAST, value=3.0), processor="Slide(R) Rule Processor")
    assert table(BY_MACHINE, results).splitlines() == [
        "| what | against | aim | Abacus 9 | Slide Rule |",
        "| --- | --- | --- | --- | --- |",
        "| a hare | a snail | at least 5 x as fast | 6.00 x as fast<br>reached | 3.00 x as fast<br>**missed** |",
        "| a tortoise | a snail | at least 5 x as fast | 4.00 x as fast<br>**missed** | not measured |",
    ]


def test_figures_of_several_batches_stand_in_one_row_a_machine(measured):
    measured(FAST, SLOW, threads=2)
    results = measured(replace(SLOW, value=7.0), processor="Slide Rule")
    topic = Topic("race", (Line("a hare", "a snail", ("fast", "slow", "")),), ("one", "two", "three"))
    head, _, *rows = table(topic, results).splitlines()
    assert head == "| what | against | on | aim | one | two | three |"
    assert rows == [
        "| a hare | a snail | Abacus 9, 2 threads | at least 5 x as fast "
        "| 6.00 x as fast<br>reached | 4.00 x as fast<br>**missed** | not measured |",
        "| a hare | a snail | Slide Rule, one thread | at least 5 x as fast "
        "| not measured | 7.00 x as fast<br>reached | not measured |",
    ]


@pytest.mark.parametrize(
    ("row", "cell"),
    [
        (FAST, "6.00 x as fast<br>reached"),
        (
            replace(FAST, details={"lowest_ratio": 4.9, "highest_ratio": 17.08}),
            "6.00 x as fast (4.90 to 17.1)<br>reached, not by every pair",
        ),
        (
            replace(FAST, value=4.0, details={"lowest_ratio": 3.999, "highest_ratio": 5.0}),
            "4.00 x as fast (4.00 to 5.00)<br>**missed**, not by every pair",
        ),
        (replace(FAST, value=0.36, target=None, unit="of theirs"), "0.36 of theirs<br>no aim"),
        (replace(FAST, value=1.127, unit="x as long", target=Target("at most", 1.2)), "1.13 x as long<br>reached"),
        (replace(FAST, value=843.3, unit="MB", target=Target("at most", 300.0)), "843 MB<br>**missed**"),
    ],
)
def test_a_cell_has_figure_range_and_verdict_in_plain_numbers(measured, row, cell):
    *_, last = table(Topic("race", LINES[:1]), measured(row)).splitlines()
    assert last.endswith(f"| {cell} |")


def test_a_cell_says_what_ours_takes_by_itself_where_its_line_asks_for_it(measured):
    results = measured(replace(FAST, details={"our_seconds": 2.52, "our_mb": 70.0}))
    *_, last = table(Topic("race", (Line("a hare", "a snail", ("fast",), "our_seconds"),)), results).splitlines()
    assert "| 6.00 x as fast, 2.52 s<br>reached |" in last


def test_an_aim_is_that_of_the_row_and_two_aims_are_both_told(measured):
    measured(FAST)
    results = measured(replace(FAST, target=Target("at least", 2.5)), processor="Slide Rule")
    *_, by_column = table(Topic("race", LINES[:1]), results).splitlines()
    *_, first, second = table(Topic("race", LINES[:1], ("figure",)), results).splitlines()
    assert "| at least 5 x as fast or at least 2.5 x as fast |" in by_column
    assert "| at least 5 x as fast |" in first
    assert "| at least 2.5 x as fast |" in second


def test_files_in_folders_are_results_toys_are_none_and_the_newer_of_two_counts(measured):
    measured(replace(FAST, value=8.0), file="a.json", time="2026-11-30")
    measured(replace(FAST, value=7.0), file="b.json", time="2026-11-28")
    measured(FAST, SLOW, file="real-model/c.json")
    results = measured(replace(FAST, value=9.0), file="d-quick.json", is_quick=True, time="2026-12-01")
    assert {machine: {name: row["value"] for name, row in rows.items()} for machine, rows in results.items()} == {
        "Abacus 9": {"fast": 8.0, "slow": 4.0}
    }


def test_the_file_of_a_processor_is_named_after_it(measured, tmp_path):
    measured(FAST, processor="Abacus(R) 9")
    assert [file.name for file in tmp_path.iterdir()] == ["abacus-r-9.json"]


def test_a_card_is_a_machine_of_its_own_and_not_in_the_names_of_its_rows(measured):
    step = replace(FAST, name="gpu/a training step on NVIDIA H100 80GB HBM3, batch 8")
    answer = replace(FAST, name="gpu/persona against none: random Llama on NVIDIA H100 80GB HBM3, batch 1")
    results = measured(FAST, step, answer)
    assert {machine: list(rows) for machine, rows in results.items()} == {
        "Abacus 9": ["fast"],
        "NVIDIA H100 80GB HBM3": [
            "gpu/a training step, batch 8",
            "gpu/persona against none: random Llama, batch 1",
        ],
    }


def test_every_measured_row_stands_in_one_table_or_is_left_out_by_name():
    topics = [topic for page in TOPICS.values() for topic in page]
    shown = [name for topic in topics for line in topic.lines for name in line.rows if name]
    measured = {name for rows in read_results().values() for name in rows}
    assert len(shown) == len(set(shown))
    assert {name for name in measured - set(shown) if not LEFT_OUT.match(name)} == set()


@pytest.mark.parametrize("name", TOPICS)
def test_a_page_has_its_tables_as_the_files_of_results_give_them(name):
    page, results = (DOCS / name).read_text(encoding="utf-8"), read_results()
    marks = [topic.mark for topic in TOPICS[name]]
    assert re.findall(r"<!-- ([\w-]+) -->", page.replace("<!-- end -->", "")) == marks
    for topic in TOPICS[name]:
        assert f"<!-- {topic.mark} -->\n{table(topic, results)}<!-- end -->" in page


def test_the_rows_of_the_real_model_come_first_where_it_was_measured():
    for topic in TOPICS["performance.md"][:2]:
        first, *_ = table(topic, read_results()).splitlines()[2:]
        assert "SmolLM2" in first


def test_writing_the_pages_again_changes_nothing(tmp_path, monkeypatch):
    pages = {name: (DOCS / name).read_text(encoding="utf-8") for name in TOPICS}
    for name, page in pages.items():
        (tmp_path / name).write_text(page, encoding="utf-8")
    monkeypatch.setattr(pictures, "DOCS", tmp_path)
    pictures.main()
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in pages} == pages
    assert {file.name for file in tmp_path.glob("*.svg")} == {
        f"growth-{axis}.svg" for axis in ("items", "batch", "prefix", "users")
    }


def test_a_table_takes_the_place_of_the_one_between_its_marks():
    page = "a\n<!-- store -->\nold\n<!-- end -->\nb\n<!-- training -->\nold\n<!-- end -->\nc"
    assert between(page, "training", "new\n") == page.replace("<!-- training -->\nold", "<!-- training -->\nnew")
    assert between(page, "store", "new\n") == page.replace("<!-- store -->\nold", "<!-- store -->\nnew")


@pytest.mark.parametrize(
    "page", ["no mark <!-- end -->", "<!-- store --> no end", "<!-- store --> <!-- table --> the other's <!-- end -->"]
)
def test_a_page_without_a_place_for_the_table_is_an_error_and_loses_nothing(page):
    with pytest.raises(ValueError, match="no place for a table: <!-- store -->"):
        between(page, "store", "new\n")
