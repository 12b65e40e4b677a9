"""Counts of what a log holds, and leaks planted to be found."""

import tracemalloc

import pytest

from personaplug.data.audit import Lengths, audit
from personaplug.tasks.task import HistoryRules, Splitting, Task
from tests.factories import make_row


def make_task(by="column", labels=(), **history):
    return Task(
        "mine", "", "generation", ("rouge-1",), labels=labels, split=Splitting(by), history=HistoryRules(**history)
    )


def clean_log():
    return [
        make_row(user, day, text=f"{user} {day}", output=f"{day}", split=split)
        for user, split in [("ada", "train"), ("bob", "dev"), ("eve", "test")]
        for day in range(4)
    ]


def splits_of(rows, task):
    return {each.split: each for each in audit(rows, task).splits}


def test_a_clean_log_is_counted_and_nothing_is_found_in_it():
    found = audit(clean_log(), make_task())
    assert (found.task, found.rows, found.users, found.users_alike) == ("mine", 12, 3, 0)
    assert (found.first, found.last) == ("2020-01-01T00:00:00+00:00", "2020-01-04T00:00:00+00:00")
    assert found.rows_per_user == Lengths(min=4, median=4.0, mean=4.0, p90=4, max=4)
    assert not any((found.repeated_ids, found.repeated_rows, found.blank_inputs, found.blank_outputs, found.not_labels))
    for each in found.splits:
        assert (each.queries, each.users, each.unanswered) == (3, 1, 0)
        assert each.history == Lengths(min=1, median=2.0, mean=2.0, p90=3, max=3)
        assert not any((each.own_answer_in_history, each.inputs_also_in_train, each.users_also_in_train))


def test_lengths_are_the_order_statistics():
    rows = [make_row(f"user {size}", day) for size in range(1, 21) for day in range(size)]
    assert audit(rows, make_task("user")).rows_per_user == Lengths(min=1, median=10.5, mean=10.5, p90=18, max=20)


def test_a_split_without_queries_is_all_zero():
    none = Lengths(min=0, median=0.0, mean=0.0, p90=0, max=0)
    assert splits_of([make_row("ada", 0, split="history")], make_task())["dev"].history == none


def test_repetitions_are_found_within_a_user_only():
    rows = [
        make_row("ada", 0, text="a", output="x"),
        make_row("ada", 1, text="a", output="x"),
        make_row("ada", 1, text="b", output="x"),
        make_row("bob", 0, text="a", output="x"),
    ]
    found = audit(rows, make_task("user"))
    assert (found.repeated_rows, found.repeated_ids) == (1, 1)


def test_users_whose_ids_merely_look_alike_are_counted_and_stay_apart():
    found = audit([make_row(user, 0) for user in ("ada", " ada", "Ada", "\u00e9", "e\u0301", "bob")], make_task())
    assert (found.users, found.users_alike) == (6, 3)


def test_blank_texts_and_answers_that_are_no_labels_are_found():
    rows = [
        make_row("ada", 0, text=" ", output="anything", split="history"),
        make_row("ada", 1, text="a", output="", split="train"),
        make_row("ada", 2, text="a", output="yes ", split="train"),
        make_row("ada", 3, text="a", output=None, split="test"),
    ]
    found = audit(rows, make_task(labels=("yes", "no")))
    assert (found.blank_inputs, found.blank_outputs, found.not_labels) == (1, 1, 1)
    assert audit(rows, make_task()).not_labels == 0


def test_an_input_of_train_that_is_asked_again_in_test_is_found():
    rows = [*clean_log(), make_row("eve", 9, text="ada 2", output="new", split="test")]
    assert {name: each.inputs_also_in_train for name, each in splits_of(rows, make_task()).items()} == {
        "train": 0, "dev": 0, "test": 1,
    }  # fmt: skip


def test_a_user_of_train_who_is_asked_in_test_is_found():
    rows = [*clean_log(), make_row("ada", 9, text="new", split="test")]
    assert splits_of(rows, make_task())["test"].users_also_in_train == 1


@pytest.mark.parametrize(
    ("day", "text", "output", "limits", "found"),
    [
        (9, "eve 3", "3", {}, 1),
        (9, "eve 3", "new", {}, 0),
        (3, "eve 3", "3", {}, 0),
        (9, "eve 3", "3", {"embargo_days": 6.0}, 0),
        (9, "eve 3", "3", {"max_items": 1}, 1),
        (9, "eve 2", "2", {"max_items": 1}, 0),
    ],
)
def test_an_answer_that_stands_in_the_history_its_query_sees_is_found(day, text, output, limits, found):
    rows = [*clean_log(), make_row("eve", day, text=text, output=output, split="test")]
    assert splits_of(rows, make_task(**limits))["test"].own_answer_in_history == found


def test_a_question_not_answered_is_counted_and_leaks_nothing():
    rows = [*clean_log(), make_row("eve", 9, text="", output=None, split="test"), make_row("eve", 8, split="train")]
    test = splits_of(rows, make_task())["test"]
    assert (test.queries, test.unanswered, test.own_answer_in_history) == (4, 1, 0)


def test_long_texts_are_not_kept():
    rows = (make_row("ada", day, text="x" * 100_000, output=f"{day}" * 50_000) for day in range(300))
    tracemalloc.start()
    audit(rows, make_task("latest"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000
