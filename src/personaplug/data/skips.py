"""What a connector says of things it leaves out on purpose, such as a mail without a subject."""

from collections.abc import Callable

OnSkip = Callable[[str], None]


def ignore(reason: str) -> None:
    """Leave out in silence: what happens unless told otherwise."""
