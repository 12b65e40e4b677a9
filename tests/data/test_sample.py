"""The synthetic log: repeatable, well formed, and solvable only by who knows the text and the taste."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import pairwise
from typing import get_args

import pytest

from personaplug.data.sample import SampleName, headline_taste, sample_log, sample_works, tag_taste
from personaplug.tasks.task import load_task

NAMES = get_args(SampleName)


def share_of_commonest(rows: list[dict[str, str]], key: Callable[[dict[str, str]], str]) -> float:
    """Accuracy of always giving a group's commonest answer, measured on the rows it was counted on (so, too high)."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(key(row), Counter())[row["output"]] += 1
    return sum(max(count.values()) for count in counts.values()) / len(rows)


def share(claims: Iterable[bool]) -> float:
    held = list(claims)
    return sum(held) / len(held)


@pytest.fixture(scope="module")
def tags() -> list[dict[str, str]]:
    return list(sample_log("sample-tags", users=600))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_rows(name: SampleName) -> None:
    assert list(sample_log(name, users=20, seed=3)) == list(sample_log(name, users=20, seed=3))


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_shares_no_user(name: SampleName) -> None:
    users = [{row["user_id"] for row in sample_log(name, users=30, seed=seed)} for seed in (0, 1)]
    assert not users[0] & users[1]


@pytest.mark.parametrize("name", NAMES)
def test_more_users_change_no_row_of_the_others(name: SampleName) -> None:
    few, many = (list(sample_log(name, users=users)) for users in (5, 40))
    assert [row for row in many if row["user_id"] in {row["user_id"] for row in few}] == few


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_sorted_by_user_and_time_and_ids_are_unique(name: SampleName) -> None:
    rows = list(sample_log(name, users=60))
    order = [(row["user_id"], datetime.fromisoformat(row["time"])) for row in rows]
    assert all(a < b for a, b in pairwise(order))
    assert len({row["id"] for row in rows}) == len(rows)


@pytest.mark.parametrize("name", NAMES)
def test_every_user_has_as_many_rows_as_asked(name: SampleName) -> None:
    counts = Counter(row["user_id"] for row in sample_log(name, users=100, items_per_user=(3, 5)))
    assert len(counts) == 100
    assert set(counts.values()) == {3, 4, 5}


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_short_sentences(name: SampleName) -> None:
    words = [len(row["input"].split()) for row in sample_log(name, users=100)]
    assert min(words) >= 10
    assert max(words) <= 28


def test_every_label_of_the_task_occurs_and_no_other(tags: list[dict[str, str]]) -> None:
    assert {row["output"] for row in tags} == set(load_task("sample-tags").labels)


def test_neither_the_user_nor_the_text_alone_gives_the_tag(tags: list[dict[str, str]]) -> None:
    works = {work.text: work for work in sample_works(seed=0)}
    assert share_of_commonest(tags, lambda row: row["user_id"]) < 0.40
    assert share_of_commonest(tags, lambda row: row["input"]) < 0.40
    assert share(row["output"] == tag_taste(row["user_id"]).favourite(works[row["input"]]) for row in tags) > 0.78


def test_users_tag_the_same_text_differently(tags: list[dict[str, str]]) -> None:
    answers: dict[str, set[str]] = {}
    for row in tags:
        answers.setdefault(row["input"], set()).add(row["output"])
    assert share(len(tags) >= 4 for tags in answers.values()) > 0.9


def test_styles_combine_to_hundreds() -> None:
    users = {row["user_id"] for row in sample_log("sample-headlines", users=1000, items_per_user=(1, 1))}
    tastes = [headline_taste(user) for user in users]
    assert len({(taste.form, taste.lead, taste.adjective, taste.case, taste.ending) for taste in tastes}) > 500


def test_a_headline_keeps_the_small_habits_of_its_writer() -> None:
    for row in sample_log("sample-headlines", users=100):
        taste = headline_taste(row["user_id"])
        assert row["output"].lower().startswith(taste.lead)
        assert row["output"].endswith((taste.ending, "?"))
        assert taste.adjective in row["output"].lower()


def test_headlines_name_what_the_note_is_about() -> None:
    for row in sample_log("sample-headlines", users=50):
        assert {word.strip('.:"') for word in row["output"].lower().split()} & set(row["input"].lower().split())
