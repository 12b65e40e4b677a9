"""How large and how many requests may be."""

from collections import OrderedDict
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
    bodies_bytes: int = option(67_108_864, "largest that all bodies under way may be together")
    write_seconds: float = option(30.0, "longest time that a client may read nothing of its answer")
    items_per_user: int = option(20_000, "longest history")
    characters_per_user: int = option(50_000_000, "longest inputs and outputs of a history together")
    answer_tokens: int = option(512, "longest answer, where the language model has room for it")
    requests_per_minute: int = option(600, "most requests of one key; 0 for any number")
    refusals_per_minute: int = option(120, "most of an address that are refused at the door; 0 for any number")

    def __post_init__(self) -> None:
        if (
            min(self.body_bytes, self.bodies_bytes, self.items_per_user, self.characters_per_user, self.answer_tokens)
            < 1
            or not min(self.head_seconds, self.body_seconds, self.write_seconds) > 0
        ):
            raise ValueError("the sizes and seconds must be above zero")
        if min(self.requests_per_minute, self.refusals_per_minute) < 0:
            raise ValueError("requests_per_minute and refusals_per_minute must not be negative")


class RateLimiter:
    """Lets each key make so many requests a minute, at most a minute's worth at once.

    Args:
        per_minute: How many; 0 for any number.
        capacity: Keys remembered; who asked longest ago is forgotten, and begins anew.
    """

    def __init__(self, per_minute: int, *, capacity: int = 10_000) -> None:
        self.per_minute = per_minute
        self.capacity = capacity
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

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
        self._left.move_to_end(key)
        if len(self._left) > self.capacity:
            self._left.popitem(last=False)
        return 0 if is_allowed else ceil((1 - left) * 60 / self.per_minute)
