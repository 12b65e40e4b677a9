"""How large and how many requests may be."""

from dataclasses import dataclass
from math import ceil
from time import monotonic

from personaplug.config import option

LONGEST_TEXT = 65_536  # characters of an input, of a message, of an item's input or output
LONGEST_ID = 512  # characters, as in a log
MOST_MESSAGES = 256
MOST_FIELDS = 64  # of an object in a request; the largest that OpenAI's clients send has 40
MOST_PARTS = 16  # of a message
LONGEST_PROMPTS = 262_144  # characters of all prompts of a request
MOST_PROMPTS = 64
MOST_STOPS = 4
MOST_ITEMS = 1_000  # in one append


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server accepts."""

    body_bytes: int = option(4_194_304, "largest body")
    head_seconds: float = option(10.0, "longest time that a request's head may take to arrive")
    body_seconds: float = option(20.0, "longest time that a body may take to arrive")
    items_per_user: int = option(20_000, "longest history")
    characters_per_user: int = option(50_000_000, "longest inputs and outputs of a history together")
    answer_tokens: int = option(512, "longest answer, where the language model has room for it")
    requests_per_minute: int = option(600, "most requests of one key; 0 for any number")

    def __post_init__(self) -> None:
        if (
            min(self.body_bytes, self.items_per_user, self.characters_per_user, self.answer_tokens) < 1
            or not min(self.head_seconds, self.body_seconds) > 0
        ):
            raise ValueError("the sizes and seconds must be above zero")
        if self.requests_per_minute < 0:
            raise ValueError(f"requests_per_minute {self.requests_per_minute} must not be negative")


class RateLimiter:
    """Lets each key make so many requests a minute, at most a minute's worth at once.

    Args:
        per_minute: How many; 0 for any number.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str, *, now: float | None = None) -> int:
        """Take one request of a key.

        Returns:
            After how many seconds to ask again; 0 where the request may be made.
        """
        if not self.per_minute:
            return 0
        now = monotonic() if now is None else now
        left, since = self._left.get(key, (float(self.per_minute), now))
        left = min(self.per_minute, left + (now - since) * self.per_minute / 60)
        is_allowed = left >= 1
        self._left[key] = (left - is_allowed, now)
        return 0 if is_allowed else ceil((1 - left) * 60 / self.per_minute)
