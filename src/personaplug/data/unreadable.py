"""What stands in a file in the place of a value, and is none."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that cannot be read, in a row that can: whoever asks for it refuses the row.

    Attributes:
        reason: What is wrong, without a word of the value's if it is a text.
    """

    reason: str
