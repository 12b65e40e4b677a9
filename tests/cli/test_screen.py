import json
from io import StringIO
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from rich.text import Text

from personaplug.cli import screen
from tests.factories import make_item


@pytest.fixture
def terminal(monkeypatch):
    """Let stderr be a terminal; give what is written there."""
    written = StringIO()
    monkeypatch.setattr(screen, "notes", lambda: Console(file=written, force_terminal=True, width=80))
    return written


def test_results_stay_on_stdout_while_a_bar_moves_on_a_terminal(terminal, capsys):
    with screen.progress("work", total=2) as advance:
        advance(1)
        print("a result")  # noqa: T201
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in terminal.getvalue()
    assert "work" in terminal.getvalue()


def test_a_word_about_the_work_is_no_markup(terminal):
    with screen.progress("[red]", total=1) as advance:
        advance(1, "[/bold] done")
    assert "[red]" in terminal.getvalue()
    assert "[/bold] done" in terminal.getvalue()


def test_bytes_are_shown_in_megabytes(terminal):
    with screen.progress("fetch", total=92_871_040, in_bytes=True) as advance:
        advance(40_000_000)
    assert "40.0/92.9 MB" in terminal.getvalue()


def test_counted_rows_are_the_rows(capsys):
    assert list(screen.counted(iter(range(1200)), "read")) == list(range(1200))
    assert capsys.readouterr() == ("", "")


def test_counted_rows_show_on_a_terminal(terminal):
    for number, _ in enumerate(screen.counted(range(600), "read")):
        if number == 599:
            assert "read" in terminal.getvalue()


def test_a_record_is_one_line_of_json_with_iso_times(capsys):
    screen.print_json(make_item(0, "é"))
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"id": "0", "input": "é", "output": "", "time": "2020-01-01T00:00:00+00:00"}
    assert "é" in line


@given(st.text())
def test_what_is_printed_neither_steers_a_terminal_nor_loses_a_sign(text):
    shown = screen.printable(text)
    assert all(sign.isprintable() or category(sign) in ("Zs", "Co", "Cn") or sign in screen.JOINERS for sign in shown)
    assert screen.printable(shown) == shown


@given(st.text())
def test_json_reads_as_what_was_written(text):
    line = screen.as_json({"text": text})
    assert json.loads(line) == {"text": text}
    assert screen.printable(line) == line
    line.encode()


@pytest.mark.parametrize("text", ["où ça ? 雨の日 ☔", "क्\u200cष", "👩\u200d🔬", "\xa0"])
def test_what_people_write_is_shown_as_it_is(text):
    assert screen.printable(text) == text


def test_no_cell_of_a_table_steers_the_terminal(capsys):
    table = Table(title=Text("a \x1b]0;title\x07"))
    table.add_row("\x1b[2Jb\u202e", Text("\x9bc", style="bold"))
    screen.results().print(table)
    shown = capsys.readouterr().out
    assert screen.printable_lines(shown) == shown
    assert r"\x1b" in shown
