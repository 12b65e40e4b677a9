"""One bench in a folder at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from personaplug.errors import ConfigError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other benches out of a folder; a process that is killed keeps nobody out.

    Raises:
        ConfigError: Another bench is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another bench is at work in {folder}", hint="wait for its end, or give another --out"
            ) from None
        yield
