"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a name to write a file under; it takes its own name in one step, and on an error it is gone.

    A process that is killed leaves what stood there before, or nothing.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield fresh
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    r"""Write a whole file in UTF-8, and its folder where there is none.

    Half of a surrogate pair, as a broken log may hold, becomes ``\ud800``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with appearing(path) as fresh:
        fresh.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def discard_drafts(folder: Path) -> None:
    """Delete the files that processes which are no more were writing in a folder when they were killed."""
    for draft in folder.glob(".*.*"):
        process = draft.name.rpartition(".")[2]
        if process.isdecimal() and draft.is_file() and not _is_alive(int(process)):
            draft.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks, and does nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
