"""Plain records for tests, made from as few words as the test needs."""

from datetime import UTC, datetime, timedelta

from personaplug.data.log import Interaction
from personaplug.records import HistoryItem

START = datetime(2020, 1, 1, tzinfo=UTC)


def make_item(day: int, text: str = "", output: str = "") -> HistoryItem:
    """Make the item of one day, whose id is the day."""
    return HistoryItem(id=str(day), input=text, output=output, time=START + timedelta(days=day))


def make_items(*texts: str) -> tuple[HistoryItem, ...]:
    """Make one item a day with these inputs, oldest first."""
    return tuple(make_item(day, text) for day, text in enumerate(texts))


def make_row(
    user_id: str, day: int, *, output: str | None = "", split: str | None = None, text: str = ""
) -> Interaction:
    """Make the row of a log in which a user does something on one day; output None is a question not yet answered."""
    return Interaction(user_id, make_item(day, text, output or ""), split=split, has_output=output is not None)
