"""Where a snapshot lies: put there in one step and deleted for good, though either may be killed at any point.

What is deleted is renamed first: a folder under its own name is whole, or it is not there. What a killed process left
stands beside it under one of two names, and goes with it.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from personaplug.errors import StoreError

FILES = frozenset({"manifest.json", "users.bin", "starts.u64", "items.u64", "vectors.f16"})


def check_free(folder: Path) -> None:
    """Refuse a folder that holds anything but a snapshot's files, whole or not.

    Raises:
        StoreError: It does, or it is a file.
    """
    if not _holds_files_alone(folder) and (folder.exists() or folder.is_symlink()):
        raise StoreError(f"{folder}: holds something other than a snapshot", hint="choose another folder")


def new_draft(folder: Path) -> Path:
    """Make an empty folder to fill, its owner's alone."""
    draft = _draft_of(folder)
    _delete(draft)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft.mkdir(mode=0o700)
    return draft


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file of a draft, its owner's alone; once this is left, it is on the disk."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def put(folder: Path) -> None:
    """Let the finished draft take its place; what stood there is deleted."""
    old = _old_of(folder)
    _delete(old)
    if folder.exists():
        folder.rename(old)
    _draft_of(folder).rename(folder)
    _delete(old)
    _sync(folder.parent)


def discard_draft(folder: Path) -> None:
    """Delete what was being written."""
    shutil.rmtree(_draft_of(folder), ignore_errors=True)


def clear(folder: Path) -> None:
    """Delete what stands there; files that are no snapshot's stay."""
    if _holds_files_alone(folder):
        _delete(_old_of(folder))
        folder.rename(_old_of(folder))
    elif folder.is_dir():
        for name in FILES - {"manifest.json"}:  # that name is common, and of users it says nothing
            (folder / name).unlink(missing_ok=True)
    clear_remains(folder)


def clear_remains(folder: Path) -> None:
    """Delete what killed processes left beside the folder."""
    for remains in (_draft_of(folder), _old_of(folder)):
        _delete(remains)
    if folder.parent.is_dir():
        _sync(folder.parent)


def _holds_files_alone(folder: Path) -> bool:
    return folder.is_dir() and FILES.issuperset(path.name for path in folder.iterdir())


def _delete(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)


def _draft_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.draft")


def _old_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _sync(folder: Path) -> None:
    """Bring renamed and deleted names to the disk, so that no power cut brings them back."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
