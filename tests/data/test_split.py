"""Laws of splits and histories, against a reference that is slow and plain."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import get_args

import pytest
from hypothesis import example as such_as
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.data.split import split_examples, user_split
from personaplug.errors import ConfigError, PersonaPlugError
from personaplug.plug.batch import Batcher
from personaplug.tasks.task import HistoryRules, Retrieval, Split, Splitting, Task
from tests.factories import START, make_row

SPLITS = get_args(Split)
TURN_OF_YEAR = Splitting(
    by="time", dev_from=(START + timedelta(days=8)).date(), test_from=(START + timedelta(days=12)).date()
)
SPLITTINGS = st.sampled_from(
    [Splitting(by="user"), Splitting(by="hex-user"), Splitting(by="latest"), Splitting(by="column"), TURN_OF_YEAR]
)
HISTORIES = st.builds(
    HistoryRules,
    min_items=st.integers(0, 3),
    max_items=st.integers(0, 6),
    embargo_days=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)


def make_task(splitting: Splitting, history: HistoryRules | None = None) -> Task:
    return Task("mine", "", "generation", ("rouge-1",), split=splitting, history=history or HistoryRules())


def numbered(rows):
    """Give each row an id of its own, in an order that is not the order of time."""
    return [replace(row, item=replace(row.item, id=f"{number:02}")) for number, row in enumerate(rows)]


tasks = st.builds(make_task, SPLITTINGS, HISTORIES)
rows = st.lists(
    st.builds(
        make_row,
        st.sampled_from("012"),
        st.integers(0, 15),
        text=st.sampled_from(["a", "b"]),
        output=st.sampled_from(["", "x", None]),
        split=st.sampled_from(["history", "train", "dev", "test"]),
    ),
    min_size=8,
    max_size=20,
).map(numbered)


def embargo(task):
    return timedelta(days=task.history.embargo_days)


def moment(item):
    return item.time


@settings(max_examples=50)
@given(rows, tasks)
def test_a_history_is_strictly_earlier_than_its_query_less_the_embargo(rows, task):
    for split in SPLITS:
        for example in split_examples(rows, task, split=split):
            assert all(item.time < example.time - embargo(task) for item in example.profile.items)


@settings(max_examples=50)
@given(rows, tasks)
def test_a_history_is_all_that_a_slow_reading_of_the_rules_finds(rows, task):
    for split in SPLITS:
        for example in split_examples(rows, task, split=split):
            mine = may_be_history([row for row in rows if row.user_id == example.profile.user_id], task, split)
            earlier = sorted((item for item in mine if item.time < example.time - embargo(task)), key=moment)
            assert len(earlier) >= task.history.min_items
            assert list(example.profile.items) == earlier[max(0, len(earlier) - task.history.max_items) :]


def test_a_query_that_retrieval_may_show_more_of_its_history_has_it_and_the_persona_still_sees_the_latest():
    rows = numbered([make_row("ada", day, output="x") for day in range(9)])
    task = make_task(Splitting("latest"), HistoryRules(max_items=2))
    for most, held in ((None, 2), (0, 8), (5, 5), (1, 2)):
        searching = replace(task, retrieval=Retrieval(max_items=most))
        (example,) = split_examples(rows, searching, split="test")
        assert len(example.profile.items) == held
        assert Batcher(searching, None, query_vectors=None).seen(example).items == example.profile.items[-2:]


def may_be_history(rows, task, split):
    answered = [row for row in rows if row.has_output]
    if task.split.by == "column" and any(row.split == "history" for row in answered):
        answered = [row for row in answered if row.split == "history"]
    elif task.split.by == "column":
        answered = [row for row in answered if SPLITS.index(row.split) <= SPLITS.index(split)]
    return [row.item for row in answered]


@settings(max_examples=50)
@such_as([make_row("0", 1, output=None), make_row("0", 1, output="")], make_task(Splitting("user"), HistoryRules(0)), 0)
@given(rows, tasks, st.integers(0, 99))
def test_the_order_of_rows_is_irrelevant_save_for_those_of_one_moment(rows, task, seed):
    for other in (shuffled(rows, seed), shuffled(rows, seed + 100)):
        for split in SPLITS:
            assert list(split_examples(rows, task, split=split)) == list(split_examples(other, task, split=split))


def shuffled(rows, seed):
    """Shuffle rows; those of one user and moment stand in their own order, in the places that they took together."""
    order = Random(seed).sample(rows, len(rows))
    left = defaultdict(list)
    for row in rows:
        left[row.user_id, row.item.time].append(row)
    return [left[row.user_id, row.item.time].pop(0) for row in order]


@pytest.mark.parametrize("by", ["latest", "column", "user"])
def test_what_was_done_at_one_moment_stands_in_the_order_of_the_log_not_of_its_ids(by):
    rows = [make_row("ada", day, split="history") for day in (0, 1, 1, 1, 1)]
    named = [
        replace(row, item=replace(row.item, id=name))
        for row, name in zip(rows, ("5", "710", "72", "9", "8"), strict=True)
    ]
    asked = make_row("ada", 2, split="train")
    task = make_task(Splitting(by=by), HistoryRules(max_items=3))
    seen = [
        ids(example.profile.items)
        for split in SPLITS
        for example in split_examples([*named, asked], task, split=split)
        if example.id == "2"
    ]
    assert seen == [["72", "9", "8"]]


@settings(max_examples=50)
@given(rows, tasks)
def test_a_row_is_a_query_of_one_split_at_most(rows, task):
    asked = [query for split in SPLITS for query in split_examples(rows, task, split=split).queries]
    assert len({id(query.item) for query in asked}) == len(asked)


@settings(max_examples=50)
@given(rows, tasks)
def test_only_test_asks_what_is_not_answered_and_rows_of_history_are_never_asked(rows, task):
    of_item = {id(row.item): row for row in rows}
    for split in SPLITS:
        for query in split_examples(rows, task, split=split).queries:
            row = of_item[id(query.item)]
            assert row.split != "history"
            assert row.has_output or split == "test"


@settings(max_examples=50)
@given(rows, tasks)
def test_no_profile_is_kept_without_a_query(rows, task):
    for split in SPLITS:
        examples = split_examples(rows, task, split=split)
        assert {query.owner for query in examples.queries} == set(range(len(examples.profiles)))


def test_users_are_split_as_the_shared_data_says():
    task = make_task(Splitting(by="hex-user"))
    assert [user_split(name, task) for name in ("0", "1", "2", "a", "B", "14")] == [
        "test", "dev", "train", "test", "dev", "test",
    ]  # fmt: skip


def test_users_are_split_about_eight_to_one_to_one_by_their_hash():
    task = make_task(Splitting(by="user"))
    counts = {split: sum(user_split(f"user {n}", task) == split for n in range(5000)) for split in SPLITS}
    assert 450 < counts["dev"] < 550
    assert 450 < counts["test"] < 550
    assert user_split("ada", task) == "train"  # 18297636060252690398 in sha256sum's first 8 bytes


@pytest.mark.parametrize("name", ["grace", "0x1f", "-1", " 1", "1_0", ""])
def test_an_id_that_is_not_hexadecimal_is_an_error_with_a_way_out(name):
    with pytest.raises(ConfigError, match="is not hexadecimal") as caught:
        split_examples([make_row(name, 0)], make_task(Splitting(by="hex-user")), split="train")
    assert 'by = "user"' in caught.value.hint


def ids(examples):
    return [example.id for example in examples]


def test_the_latest_query_is_for_test_and_the_one_before_for_dev():
    task = make_task(Splitting(by="latest"))
    log = [make_row("ada", day) for day in (3, 1, 0, 4, 2)]
    assert [ids(split_examples(log, task, split=split)) for split in SPLITS] == [["1", "2"], ["3"], ["4"]]


def test_the_two_dates_divide_the_time():
    task = make_task(TURN_OF_YEAR, HistoryRules(min_items=0))
    log = [make_row("ada", day) for day in (0, 7, 8, 11, 12, 20)]
    assert [ids(split_examples(log, task, split=split)) for split in SPLITS] == [["0", "7"], ["8", "11"], ["12", "20"]]


def test_an_embargo_longer_than_time_leaves_no_history():
    task = make_task(Splitting(by="latest"), HistoryRules(min_items=0, embargo_days=999_999_999.0))
    assert all(
        not example.profile.items
        for example in split_examples([make_row("ada", n) for n in range(9)], task, split="train")
    )


@pytest.fixture
def examples():
    log = [make_row(user, day, text=f"{user} {day}") for user in "abc" for day in range(30)]
    return split_examples(log, make_task(Splitting(by="latest")), split="train")


def test_examples_are_a_sequence(examples):
    assert len(examples) == 3 * 27
    assert examples[-1] == list(examples)[-1]
    assert list(examples[5:9]) == list(examples)[5:9]
    assert list(examples.subset([7, 2])) == [examples[7], examples[2]]
    with pytest.raises(IndexError):
        examples[len(examples)]


def test_a_sample_repeats_with_its_seed_and_keeps_the_order(examples):
    drawn = [examples.sample(20, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0].queries == drawn[1].queries != drawn[2].queries
    assert len(set(drawn[0].queries)) == 20
    places = [examples.queries.index(query) for query in drawn[0].queries]
    assert places == sorted(places)
    assert list(examples.sample(10_000, seed=0)) == list(examples)


def test_each_item_is_kept_once_however_many_histories_hold_it(examples):
    kept = {id(item) for profile in examples.profiles for item in profile.items}
    seen = {id(item) for example in examples for item in example.profile.items}
    assert seen <= kept
    assert len(kept) == 90


def test_a_question_has_no_target_and_knows_its_time():
    log = [make_row("ada", 0, output="x"), make_row("ada", 1, output=None, text="what?")]
    example = split_examples(log, make_task(Splitting(by="latest")), split="test")[0]
    assert (example.target, example.input, example.time) == (None, "what?", datetime(2020, 1, 2, tzinfo=UTC))


def test_where_a_log_marks_history_nothing_else_is_history():
    rows = [make_row("ada", day, split="history") for day in (1, 2, 3)]
    rows += [make_row("ada", day, split="train") for day in (4, 5)]
    examples = split_examples(rows, make_task(Splitting(by="column")), split="train")
    assert [len(example.profile.items) for example in examples] == [3, 3]


def test_a_history_holds_no_row_that_the_log_puts_into_a_later_split():
    marks = ("test", "dev", "train", "train", "dev", "test")
    rows = [make_row("ada", day, split=mark) for day, mark in enumerate(marks)]
    task = make_task(Splitting(by="column"), HistoryRules(min_items=0))
    seen = {
        split: [ids(example.profile.items) for example in split_examples(rows, task, split=split)] for split in SPLITS
    }
    assert seen == {"train": [[], ["2"]], "dev": [[], ["1", "2", "3"]], "test": [[], ["0", "1", "2", "3", "4"]]}


def test_a_row_that_stands_twice_counts_once():
    rows = [make_row("ada", day) for day in (0, 0, 1, 2, 3)]
    examples = split_examples(rows, make_task(Splitting(by="latest")), split="test")
    assert [len(example.profile.items) for example in examples] == [3]


def test_two_different_rows_of_one_id_are_refused():
    rows = [make_row("ada", 0, text=text) for text in "ab"]
    with pytest.raises(PersonaPlugError, match="user 'ada' has two different rows of the id '0'"):
        split_examples(rows, make_task(Splitting(by="latest")), split="test")
