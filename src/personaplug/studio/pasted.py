"""A history as a person pastes it: one memory a line."""

from datetime import datetime, timedelta

from personaplug.data.times import parse_time
from personaplug.errors import StudioError
from personaplug.records import HistoryItem

FORMAT = "One memory a line: date | input | output. The date may be left out."
LONGEST = 100_000
"""Characters of a text that a person may type or paste."""

_SEPARATOR = "|"


def read_pasted(text: str, *, now: datetime) -> list[HistoryItem]:
    """Read a pasted history in its own order; empty lines are passed over.

    Lines without a date are taken to be of the last moments before now, in the order in which they stand.

    Args:
        text: Lines like ``2024-05-01 | what was read | what was answered``.
        now: No memory may be later.

    Raises:
        StudioError: There is no memory in it, or a line is none; names the line.
    """
    lines = [(number, line) for number, line in enumerate(checked(text).split("\n"), start=1) if line.strip()]
    if not lines:
        raise StudioError("The history is empty: paste at least one line.")
    undated = {number: now - timedelta(seconds=len(lines) - place) for place, (number, _) in enumerate(lines)}
    return [_item(number, line, undated=undated[number], now=now) for number, line in lines]


def checked(text: str) -> str:
    """Give back what a person typed.

    Raises:
        StudioError: It is too long, or holds what no text may hold: NUL, or half of a surrogate pair.
    """
    if len(text) > LONGEST:
        raise StudioError(f"This text has {len(text):,} characters; the studio reads at most {LONGEST:,}.")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise StudioError("This text holds a broken character; type it again.")
    return text


def read_date(text: str, *, now: datetime) -> datetime:
    """Read a date that a person typed; now where there is none.

    Raises:
        StudioError: It is no date, or later than now.
    """
    if not text.strip():
        return now
    try:
        time = parse_time(text)
    except ValueError:
        raise StudioError(f"“{text.strip():.30}” is no date; write it like 2024-05-01.") from None
    if time > now:
        raise StudioError(f"{time:%Y-%m-%d} is still to come; a memory is of the past.")
    return time


def _item(number: int, line: str, *, undated: datetime, now: datetime) -> HistoryItem:
    fields = [field.strip() for field in line.split(_SEPARATOR)]
    if len(fields) not in (2, 3):
        raise StudioError(f"Line {number} is not like “date | input | output” or “input | output”.")
    if not fields[-1]:
        raise StudioError(f"Line {number} has no output after its last “|”.")
    try:
        time = read_date(fields[0], now=now) if len(fields) == 3 and fields[0] else undated
    except StudioError as error:
        raise StudioError(f"Line {number}: {error}") from None
    return HistoryItem(str(number), input=fields[-2], output=fields[-1], time=time)
