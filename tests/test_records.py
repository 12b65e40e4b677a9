"""What the three records promise."""

from dataclasses import FrozenInstanceError
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from personaplug.records import HistoryItem, Profile, fill
from tests.factories import make_item, make_items


def test_an_item_without_a_time_zone_is_refused():
    with pytest.raises(ValueError, match="the time of history item '7' has no time zone"):
        HistoryItem("7", "input", "output", datetime(2024, 5, 1))


def test_a_profile_that_is_not_oldest_first_is_refused():
    with pytest.raises(ValueError, match="the items of profile 'ada' are not oldest first"):
        Profile("ada", (make_item(1), make_item(0)))


def test_items_of_one_moment_are_a_profile():
    assert len(Profile("ada", (make_item(1), make_item(1))).items) == 2


@given(st.integers(0, 6), st.integers(0, 9))
def test_the_latest_are_the_last_so_many(length, count):
    profile = Profile("ada", make_items(*"abcdef"[:length]))
    latest = profile.latest(count)
    assert latest.items == tuple(reversed(list(reversed(profile.items))[:count]))
    assert latest.user_id == "ada"


def test_records_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        make_item(0).output = "other"
    with pytest.raises(FrozenInstanceError):
        Profile("ada").items = ()


@example("{b}", "{a}")
@given(st.text(), st.text())
def test_what_is_filled_in_is_never_a_template(text, other):
    assert fill("{a}{b}", {"a": text, "b": other}) == text + other


def test_names_without_a_value_stay_as_they_are():
    assert fill("{a} {b} {} {a", {"a": "x"}) == "x {b} {} {a"
