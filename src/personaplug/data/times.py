"""Times as logs write them.

ISO 8601 says what it means. A number does not, so it is read only where it can hardly be anything but a count since
1970, in UTC:

======================  ==============  ==================
digits before a point   unit            from, until 2100
======================  ==============  ==================
9 or 10                 seconds         1973-03-03
13                      milliseconds    2001-09-09
16                      microseconds    2001-09-09
19                      nanoseconds     2001-09-09
======================  ==============  ==================

Every other number is refused, with what it may be: a year, a day, a spreadsheet's day, a running number. So are ten
digits that are a date with its hour as well. Two texts of digits are dates: a year (``2024``) and a day (``20240501``)
from 1900 to 2099. Where a source fixes the unit, as git does, nothing is guessed: :func:`from_seconds`.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from personaplug.tasks.task import start_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = 4_102_444_800  # seconds from 1970 to 2100
_HOURS = 1_900_000_000  # 1900010100, the first day with an hour, would be this many seconds or more: 2030
_SHEET_START = datetime(1899, 12, 30)
"""Day 0 of a spreadsheet, which counts a February 29 in 1900: https://learn.microsoft.com/office/troubleshoot/excel."""

_NUMBER = re.compile(r"[+-]?[1-9][0-9]*(\.[0-9]*)?|[+-]?0(\.[0-9]*)?")
_DATES = (
    ("%Y", 4, "a year"),
    ("%Y%m", 6, "a month"),
    ("%y%m%d", 6, "a day"),
    ("%Y%m%d", 8, "a day"),
    ("%Y%m%d%H", 10, "a day with its hour"),
    ("%y%m%d%H%M", 10, "a day with its minute"),
    ("%Y%m%d%H%M", 12, "a day with its minute"),
    ("%Y%m%d%H%M%S", 14, "a day with its second"),
)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A unit in which moments are counted, and the first count that is surely one."""

    name: str
    first: int
    per_second: int

    def holds(self, number: float) -> bool:
        return self.first <= number < _END * self.per_second

    def read(self, number: float) -> datetime:
        exact = number * 10**6 // self.per_second if isinstance(number, int) else round(number / self.per_second * 1e6)
        return EPOCH + timedelta(microseconds=exact)


_UNITS = (
    _Unit("seconds", 10**8, 1),
    _Unit("milliseconds", 10**12, 10**3),
    _Unit("microseconds", 10**15, 10**6),
    _Unit("nanoseconds", 10**18, 10**9),
)


def parse_time(value: object) -> datetime:
    """Read a time: ISO 8601 text, a number or numeric text as the table above has it, or a datetime or date.

    A date, month or year alone is its first moment; a time without offset is in UTC; the result is in UTC.

    Raises:
        ValueError: It is none of these, is not surely one, or lies outside the years 1 to 9999. The text says what it
            may be, and how to write that.
    """
    try:
        return _parse(value)
    except OverflowError:
        raise ValueError("outside the years 1 to 9999") from None


def from_seconds(seconds: int) -> datetime:
    """Give the moment so many seconds after 1970, where the source says that they are seconds.

    Raises:
        ValueError: It lies outside the years 1 to 9999.
    """
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("outside the years 1 to 9999") from None


def microseconds(time: datetime) -> int:
    """Count whole microseconds since 1970: exact, and any embargo may be taken off without overflow."""
    return (time - EPOCH) // timedelta(microseconds=1)


def _parse(value: object) -> datetime:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, date):
        return start_of(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _parse_number(value)
    if isinstance(value, str):
        return _parse_text(value.strip())
    raise ValueError(f"a {type(value).__name__} is no time")


def _parse_text(text: str) -> datetime:
    if re.fullmatch(r"(19|20)[0-9]{2}", text):
        text += "0101"
    elif re.fullmatch(r"[0-9]{4}-[0-9]{2}", text):
        text += "-01"
    is_number = _NUMBER.fullmatch(text)
    if is_number and not re.fullmatch(r"(19|20)[0-9]{6}", text):
        return _parse_number(float(text) if "." in text or len(text) > 30 else int(text))
    try:
        return _parse(datetime.fromisoformat(text))
    except ValueError:
        if is_number:  # eight digits that are no day
            return _parse_number(int(text))
        raise ValueError("neither ISO 8601 nor a plain number") from None


def _parse_number(number: float) -> datetime:
    if math.isnan(number):
        raise ValueError("NaN is no time")
    unit = next((unit for unit in _UNITS if unit.holds(number)), None)
    if unit is None or (_HOURS <= number < _END and any(_as_dates(number))):
        raise ValueError(f"it looks like {' or like '.join(_looks(number))}")
    return unit.read(number)


def _looks(number: float) -> list[str]:
    """Name what a number may be, the likeliest first, each with how to write it.

    Raises:
        OverflowError: It is no moment in any unit.
    """
    dates = [f"{what}: write {time.isoformat()}" for what, time in _as_dates(number)]
    if 10_000 <= number < 100_000:
        day = _SHEET_START + timedelta(days=number)
        dates.append(f"a spreadsheet's day number: write {day.isoformat(timespec='seconds')}")
    return dates or [_as_count(number)]


def _as_dates(number: float) -> Iterator[tuple[str, datetime]]:
    if not (10**3 <= number < 10**14 and number == int(number)):
        return
    text = str(int(number))
    for form, digits, what in _DATES:
        if len(text) == digits:
            try:
                time = datetime.strptime(text, form)
            except ValueError:
                continue
            if time.year < 2200:
                yield what, time


def _as_count(number: float) -> str:
    if 0 <= number < 10**6:
        return f"a running number or seconds since 1970: write {_UNITS[0].read(number).isoformat()}"
    unit = next((unit for unit in _UNITS if abs(number) < 10**10 * unit.per_second), _UNITS[0])
    return f"{unit.name} since 1970: write {unit.read(number).isoformat()}"
