"""One question of a LaMP file with its profile, read and checked."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from personaplug.data.rows import Row
from personaplug.data.skips import OnSkip, ignore
from personaplug.data.times import parse_time


@dataclass(frozen=True, slots=True)
class ProfileFields:
    """Which fields of a profile item are what the user read and what they answered; empty where there is none."""

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class ProfileItem:
    """Something the user wrote before; ``date`` is None where the file has none, and is UTC."""

    id: str
    date: datetime | None
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class LampQuestion:
    """What is asked, by whom, and with which profile.

    Attributes:
        row: Where it stands.
        id: Unique within its file.
        user_id: Who asks; None where the file knows no users.
        input: The text, instruction and all.
        items: The profile, in the order of the file, each id once.
    """

    row: Row
    id: str
    user_id: str | None
    input: str
    items: tuple[ProfileItem, ...]

    @property
    def profile(self) -> dict[str, datetime | None]:
        """The items' dates by their ids, in the order of the file."""
        return {item.id: item.date for item in self.items}


def read_question(row: Row, fields: ProfileFields, *, on_skip: OnSkip = ignore) -> LampQuestion:
    """Read a question.

    Args:
        row: The question.
        fields: Of its task.
        on_skip: Told of each profile item that stands in the profile a second time, word for word, and counts once.

    Raises:
        DataError: It lacks something, or its profile has two different items of one id.
    """
    name, profile = field_of(row, row.values, name="id"), row.values.get("profile")
    if not isinstance(profile, list) or not all(isinstance(item, dict) for item in profile):
        raise row.error(f"the profile of question {name!r:.40} is not a list of objects")
    has_dates = any("date" in item for item in profile)
    items: dict[str, ProfileItem] = {}
    for values in profile:
        item = _item(row, values, fields=fields, has_date=has_dates)
        first = items.setdefault(item.id, item)
        if first != item:
            raise row.error(
                f"the profile of question {name!r:.40} has two different items of the id {item.id!r:.40}",
                hint="fetch the file again; --skip-bad leaves such questions out",
            )
        if first is not item:
            on_skip("that stand twice in a profile")
    return LampQuestion(row, name, user_of(row), field_of(row, row.values, name="input"), tuple(items.values()))


def user_of(row: Row) -> str | None:
    """Read who asks; None where the question does not say.

    Raises:
        DataError: It says something that is neither text nor a whole number, or blank.
    """
    user_id = row.values.get("user_id")
    if user_id is None:
        return None
    if isinstance(user_id, bool) or not isinstance(user_id, str | int) or not str(user_id).strip():
        raise row.error(f"the user_id {user_id!r:.40} is no name", hint="it is a text or a whole number")
    return str(user_id)


def field_of(row: Row, values: Mapping[str, object], *, name: str) -> str:
    """Read a field of a question or of a profile item as text.

    Raises:
        DataError: It is not there, or neither text nor number.
    """
    try:
        return as_text(values.get(name))
    except TypeError:
        where = "the question" if values is row.values else "a profile item"
        hint = f"it has {', '.join(values)[:200]}; check --task"
        raise row.error(f"{where} has no {name!r} that is text", hint=hint) from None


def as_text(value: object) -> str:
    """Read a value of LaMP's files as text; raise a TypeError unless it is text or a number."""
    if not isinstance(value, str | int | float):
        raise TypeError(f"a {type(value).__name__}")
    return value if isinstance(value, str) else json.dumps(value)


def _item(row: Row, values: Mapping[str, object], *, fields: ProfileFields, has_date: bool) -> ProfileItem:
    return ProfileItem(
        id=sys.intern(field_of(row, values, name="id")),  # the same in each of the user's profiles, as are dates
        date=_date(row, field_of(row, values, name="date")) if has_date else None,
        input=field_of(row, values, name=fields.input) if fields.input else "",
        output=field_of(row, values, name=fields.output),
    )


def _date(row: Row, text: str) -> datetime:
    try:
        return _parsed_date(text)
    except ValueError as error:
        raise row.error(f"a date in the profile cannot be read: {error}") from error


@lru_cache(maxsize=1 << 14)
def _parsed_date(text: str) -> datetime:
    """Read a date as LaMP writes it: a year, a month of a year, or a day, with or without leading zeros."""
    parts = text.split("-")
    if len(parts) > 3 or len(parts[0]) != 4 or not all(part.isdecimal() for part in parts):
        return parse_time(text)
    year, month, day = (*map(int, parts), 1, 1)[:3]
    return parse_time(f"{year:04}-{month:02}-{day:02}")
