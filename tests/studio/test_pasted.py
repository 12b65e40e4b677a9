from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.errors import StudioError
from personaplug.studio.pasted import LONGEST, checked, read_date, read_pasted

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="|"), max_size=20).map(str.strip)
DATES = st.dates(datetime(1900, 1, 2).date(), NOW.date())


@settings(max_examples=25)
@given(st.lists(st.tuples(st.none() | DATES, TEXTS, TEXTS.filter(bool)), min_size=1, max_size=6))
def test_what_was_pasted_is_what_is_read(rows):
    lines = [" | ".join([*([f"{date}"] if date else []), read, wrote]) for date, read, wrote in rows]
    items = read_pasted("\n\n".join(lines), now=NOW)
    assert [(item.input, item.output) for item in items] == [(read, wrote) for _, read, wrote in rows]
    assert [item.time.date() for item in items] == [date or NOW.date() for date, *_ in rows]
    assert len({item.id for item in items}) == len(rows)


def test_lines_without_a_date_are_of_the_last_moments_in_their_order():
    items = read_pasted("a | b\n| c | d\ne | f", now=NOW)
    times = [item.time for item in items]
    assert all(first < second for first, second in pairwise(times))
    assert NOW - timedelta(minutes=1) < times[0]
    assert times[-1] < NOW


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The history is empty"),
        (" \n\n\t", "The history is empty"),
        ("a | b\n\nno separator", "Line 3 is not like"),
        ("a | b | c | d", "Line 1 is not like"),
        ("a | b\nc |", "Line 2 has no output"),
        ("yesterday | a | b", "Line 1: “yesterday” is no date; write it like 2024-05-01."),
        ("a | b\n2031-01-01 | a | b", "Line 2: 2031-01-01 is still to come"),
        ("a | b\0", "a broken character"),
        ("a | \ud83d", "a broken character"),
        ("a | " + "b" * LONGEST, "at most 100,000"),
    ],
)
def test_what_is_no_history_is_one_sentence_that_names_the_line(text, sentence):
    with pytest.raises(StudioError, match=sentence) as caught:
        read_pasted(text, now=NOW)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 120


def test_a_date_left_empty_is_now():
    assert read_date(" ", now=NOW) == NOW
    assert read_date("2024-05-01", now=NOW) == datetime(2024, 5, 1, tzinfo=UTC)


@settings(max_examples=25)
@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")))
def test_what_a_person_may_type_stays_as_it_is(text):
    assert checked(text) == text
