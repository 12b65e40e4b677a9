"""Times in every form a log may write them."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaplug.data.times import from_seconds, microseconds, parse_time

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
        1714564800000,
        "1714564800000000",
        1714564800000000000,
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


def test_a_month_is_its_first_moment():
    assert parse_time("2024-05") == datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (1850, "a year: write 1850-01-01T00:00:00"),
        (2024, "a year: write 2024-01-01T00:00:00"),
        (2024.0, "a year: write 2024-01-01T00:00:00"),
        (202405, "a month: write 2024-05-01T00:00:00"),
        (240501, "a day: write 2024-05-01T00:00:00"),
        (20240501, "a day: write 2024-05-01T00:00:00"),
        ("18500101", "a day: write 1850-01-01T00:00:00"),
        ("2024050112", "a day with its hour: write 2024-05-01T12:00:00"),
        ("2405011230", "a day with its minute: write 2024-05-01T12:30:00"),
        ("202405011230", "a day with its minute: write 2024-05-01T12:30:00"),
        ("20240501123000", "a day with its second: write 2024-05-01T12:30:00"),
        (45413.5, "a spreadsheet's day number: write 2024-05-01T12:00:00"),
        (0, "a running number or seconds since 1970: write 1970-01-01T00:00:00"),
        (12, "a running number or seconds since 1970: write 1970-01-01T00:00:12"),
        ("20241399", "seconds since 1970: write 1970-08-23T06:36:39"),
        (-1, "seconds since 1970: write 1969-12-31T23:59:59"),
        (9999999999, "seconds since 1970: write 2286-11-20T17:46:39"),
        (171456480000, "milliseconds since 1970: write 1975-06-08T10:48:00"),
        (133590000000000000, "nanoseconds since 1970: write 1974-03-27T04:20:00"),  # of Windows, since 1601
    ],
)
def test_a_number_that_is_not_surely_a_time_is_refused_with_what_it_may_be(written, meant):
    for form in (written, str(written)) if written not in (2024, 20240501) else (written,):
        with pytest.raises(ValueError, match=re.escape(f"looks like {meant}")) as caught:
            parse_time(form)
    offered = str(caught.value).partition("write ")[2]
    assert parse_time(offered).replace(tzinfo=None) == datetime.fromisoformat(offered).replace(tzinfo=None)


@pytest.mark.parametrize(
    "written",
    ["yesterday", "", "2024-13-01", "01052024", "1.7e9", "1_7", "nan", float("nan"), True, None, [2024], b"1"],
)
def test_what_is_no_time_is_an_error(written):
    with pytest.raises(ValueError, match=r"neither|no time"):
        parse_time(written)


@pytest.mark.parametrize(
    "written", [10**30, "9" * 5000, 10**400, -(10**400), float("inf"), "0001-01-01T00:00:00+14:00"]
)
def test_an_absurd_time_is_an_error_that_speaks_of_years(written):
    with pytest.raises(ValueError, match="years 1 to 9999"):
        parse_time(written)


@given(st.integers(10**9, 1_899_999_999), st.sampled_from([1, 10**3, 10**6, 10**9]), st.sampled_from([int, str, float]))
def test_a_count_of_the_years_from_2001_is_read_in_the_unit_that_its_digits_tell(seconds, unit, form):
    written = f"{seconds * unit}.0" if form is float else form(seconds * unit)
    assert parse_time(written) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@given(st.integers() | st.floats(allow_nan=False))
def test_any_number_is_a_moment_from_1973_to_2100_or_refused_with_a_reason(number):
    try:
        year = parse_time(number).year
    except ValueError as error:
        year, reason = None, str(error)
    if year is None:
        assert re.search("looks like|years 1 to 9999", reason)
    else:
        assert 1973 <= year <= 2100


def test_many_numeric_texts_are_read_at_once():
    assert len({parse_time(f"{second}.0") for second in range(1_714_564_800, 1_714_584_800)}) == 20_000


def test_seconds_from_a_source_that_counts_them_are_never_guessed():
    for seconds in (0, 1850, 2024, 20240501, 202405011230, -1):
        assert from_seconds(seconds) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    with pytest.raises(ValueError, match="years 1 to 9999"):
        from_seconds(10**30)


@given(TIMES)
def test_what_python_writes_is_read_back(time):
    assert parse_time(time.isoformat()) == time


@given(TIMES, TIMES)
def test_microseconds_order_as_the_times_do(one, other):
    assert (microseconds(one) < microseconds(other)) == (one < other)
    assert timedelta(microseconds=microseconds(one) - microseconds(other)) == one - other
