import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from rich.cells import cell_len
from rich.console import Console

from personaplug.cli.explain import _table
from personaplug.plug.memory import Memory
from personaplug.records import HistoryItem
from tests.cli.conftest import USERS, done

QUESTION = "tea?"
WIDTH = 80


@pytest.fixture
def explain(personaplug, place):
    return lambda *words, run=place.plug: personaplug("explain", "--run", run, *words)


@pytest.fixture
def memories(explain):
    return lambda user: json.loads(done(explain("--user", user, QUESTION, "--json")).stdout)


@pytest.mark.parametrize(("user", "count"), USERS.items())
def test_a_program_reads_every_memory_the_weightiest_first(memories, user, count):
    found = memories(user)
    weights = [memory["weight"] for memory in found]
    assert sorted(int(memory["item"]["id"]) for memory in found) == list(range(count))
    assert sum(weights) == pytest.approx(1.0, abs=1e-5)
    assert all(first >= second for first, second in pairwise(weights))
    assert len(set(weights)) > 1
    parts = {"item", "weight", "weights", "similarity", "age_days", "is_in_prompt"}
    assert all(set(memory) == parts for memory in found)
    assert found[0]["item"]["time"].startswith("2024-01-0")
    assert found[0]["item"]["time"].endswith("T00:00:00+00:00")


@pytest.mark.parametrize("user", USERS)
def test_the_table_has_a_line_a_memory_as_wide_as_a_terminal_and_shows_texts_as_they_are(explain, memories, user):
    title, _, head, _, *rows, _ = done(explain("--user", user, QUESTION)).stdout.splitlines()
    assert title.strip() == f"{USERS[user]} of {USERS[user]} memories of {user}"
    assert head.split() == ["weight", "cosine", "date", "output", "input"]
    assert len(rows) == USERS[user]
    assert {cell_len(row) for row in rows} == {WIDTH}
    for row, memory in zip(rows, memories(user), strict=True):
        assert f"{memory['weight']:.1%}" in row
        assert f"{memory['similarity']:+.2f} 2024-01-0" in row
    (tea,) = [row for row, memory in zip(rows, memories(user), strict=True) if memory["item"]["id"] == "0"]
    assert "[bold]tea[/bold]" in tea


@pytest.mark.parametrize("method", ["plug+bm25", "plug+dense"])
def test_of_a_mixed_run_the_memories_that_also_stand_in_the_prompt_are_marked(explain, place, method):
    run = place.mixed[method]
    found = json.loads(done(explain("--user", "ada", QUESTION, "--json", run=run)).stdout)
    assert sum(memory["is_in_prompt"] for memory in found) == 2
    shown = done(explain("--user", "ada", QUESTION, run=run)).stdout.splitlines()
    assert [("✓" in line) for line in shown if "%" in line] == [memory["is_in_prompt"] for memory in found]
    assert {cell_len(line) for line in shown if "%" in line} == {WIDTH}
    assert "✓" not in done(explain("--user", "ada", QUESTION)).stdout


def test_no_memory_can_steer_the_terminal(explain):
    assert "\x1b" not in explain("--user", "ada", QUESTION).stdout


def test_only_so_many_memories_are_shown_and_the_rest_is_counted(explain):
    lines = explain("--user", "ada", QUESTION, "--top", 2).stdout.splitlines()
    assert lines[0].strip() == "2 of 6 memories of ada"
    assert sum("%" in line for line in lines) == 2


def test_the_weightiest_memory_has_the_longest_bar(explain):
    bars = [line.count("█") for line in explain("--user", "ada", QUESTION).stdout.splitlines() if "%" in line]
    assert bars == sorted(bars, reverse=True)
    assert bars[0] == 10
    assert bars[-1] >= 1


def test_a_user_without_memories_is_our_error(explain, place):
    result = explain("--user", "eve", QUESTION)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is nothing of user 'eve'" in result.stderr
    assert f"Hint: who is there: personaplug persona list --store {place.store}" in result.stderr


def test_a_tuned_prompt_has_no_memories_to_explain(explain, place):
    result = explain("--user", "ada", QUESTION, "--store", place.store, run=place.tuned)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "tuned prompt has no memories" in result.stderr


@pytest.mark.parametrize("words", [(), ("--user", "ada"), ("--user", "ada", QUESTION, "--top", 0)])
def test_wrong_usage_exits_2(explain, words):
    assert explain(*words).exit_code == 2


def test_what_is_not_quoted_has_no_bar():
    item = HistoryItem("1", "asked", "told", datetime(2024, 1, 1, tzinfo=UTC))
    quoted, other = (Memory(item, weight, (weight,), 0.5, 1.0) for weight in (1.0, 0.0))
    for shown, bars in (([quoted, other], [10, 0]), ([other, other], [0, 0])):
        with (console := Console(width=WIDTH)).capture() as printed:
            console.print(_table(shown, title="two"))
        assert [line.count("█") for line in printed.get().splitlines() if "%" in line] == bars
