"""Times as logs write them."""

import re
from datetime import UTC, date, datetime, timedelta

from personaplug.tasks.task import start_of

_YEARS, _DAYS = range(1900, 2100), range(19000101, 21000101)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(value: object) -> datetime:
    """Read a time: ISO 8601 text, a year, seconds since 1970 as a number or numeric text, or a datetime or date.

    A date or year alone is its first moment; a time without offset is in UTC; the result is in UTC.

    Raises:
        ValueError: It is none of these, or lies outside the years 1 to 9999.
    """
    try:
        return _parse(value)
    except OverflowError:
        raise ValueError("outside the years 1 to 9999; epoch times are in seconds, not milliseconds") from None


def microseconds(time: datetime) -> int:
    """Count whole microseconds since 1970: exact, and any embargo may be taken off without overflow."""
    return (time - EPOCH) // timedelta(microseconds=1)


def _parse(value: object) -> datetime:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, date):
        return start_of(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value in _YEARS or value in _DAYS:
            raise ValueError(f'{value:.0f} looks like a date, not seconds since 1970: write it as text, "{value:.0f}"')
        return EPOCH + timedelta(seconds=value)
    if isinstance(value, str):
        return _parse_text(value.strip())
    raise ValueError(f"a {type(value).__name__} is no time")


def _parse_text(text: str) -> datetime:
    if re.fullmatch(r"(19|20)\d\d", text):
        text += "0101"
    if re.fullmatch(r"(19|20)\d{6}", text):  # 20240501 is a day, not a second of 1970
        return _parse(datetime.fromisoformat(text))
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return _parse(seconds)
    try:
        return _parse(datetime.fromisoformat(text))
    except ValueError:
        raise ValueError("neither ISO 8601 nor a number") from None
