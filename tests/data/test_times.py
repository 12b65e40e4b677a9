"""Times in every form a log may write them."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaplug.data.times import microseconds, parse_time

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=OFFSETS)


@pytest.mark.parametrize(
    "written",
    [
        "2024-05-01T12:00:00Z",
        "2024-05-01T12:00:00+00:00",
        "2024-05-01T14:00:00+02:00",
        "2024-05-01 12:00",
        " 2024-05-01T12:00:00Z\n",
        1714564800,
        1714564800.0,
        "1714564800",
        "1714564800.0",
        datetime(2024, 5, 1, 12),
        datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_every_form_of_one_moment_is_that_moment(written):
    assert parse_time(written) == NOON
    assert parse_time(written).tzinfo is UTC


@pytest.mark.parametrize("written", ["2024-05-01", "20240501", "20240501T000000", date(2024, 5, 1)])
def test_a_day_is_its_first_moment(written):
    assert parse_time(written) == datetime(2024, 5, 1, tzinfo=UTC)


def test_a_year_is_its_first_moment():
    assert parse_time("2024") == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("written", [2024, 2024.0, 20240501])
def test_a_date_written_as_a_number_is_not_taken_for_seconds(written):
    with pytest.raises(ValueError, match="looks like a date"):
        parse_time(written)


@pytest.mark.parametrize("written", ["yesterday", "", "2024-13-01", "nan", float("nan"), True, None, [2024], b"2024"])
def test_what_is_no_time_is_an_error(written):
    with pytest.raises(ValueError, match=r"neither|no time|NaN"):
        parse_time(written)


@pytest.mark.parametrize(
    "written", [1714564800000, "1e400", 10**400, "-inf", float("inf"), "0001-01-01T00:00:00+14:00"]
)
def test_an_absurd_time_is_an_error_that_speaks_of_years(written):
    with pytest.raises(ValueError, match="years 1 to 9999"):
        parse_time(written)


@given(TIMES)
def test_what_python_writes_is_read_back(time):
    assert parse_time(time.isoformat()) == time


@given(TIMES, TIMES)
def test_microseconds_order_as_the_times_do(one, other):
    assert (microseconds(one) < microseconds(other)) == (one < other)
    assert timedelta(microseconds=microseconds(one) - microseconds(other)) == one - other
