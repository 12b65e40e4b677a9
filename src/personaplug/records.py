"""What a user did, what we know of a user, and what is asked: three frozen records."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One thing a user did: what they read and what they answered.

    Attributes:
        id: Unique within the user.
        input: The text the user responded to; may be empty.
        output: The text, label or score the user gave.
        time: When, with a time zone.
    """

    id: str
    input: str
    output: str
    time: datetime

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError(f"the time of history item {self.id!r} has no time zone")


@dataclass(frozen=True, slots=True)
class Profile:
    """A user's history, oldest item first."""

    user_id: str
    items: tuple[HistoryItem, ...] = ()

    def __post_init__(self) -> None:
        if any(a.time > b.time for a, b in zip(self.items, self.items[1:], strict=False)):
            raise ValueError(f"the items of profile {self.user_id!r} are not oldest first")

    def latest(self, count: int) -> "Profile":
        """Keep the latest ``count`` items; ``count`` must not be negative."""
        return replace(self, items=self.items[max(0, len(self.items) - count) :])


@dataclass(frozen=True, slots=True)
class Example:
    """One question to answer in the way of one user.

    Attributes:
        id: Unique within its task.
        profile: What the user did strictly before ``time``.
        input: The text to respond to, as the log holds it (not yet a prompt).
        target: The user's own answer; None where it is not known.
        time: When the question was asked, with a time zone.
    """

    id: str
    profile: Profile
    input: str
    target: str | None
    time: datetime


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values in the places of their ``{name}``; other braces, those inside the values too, stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), template)
