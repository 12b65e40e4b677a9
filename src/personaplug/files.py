"""Files that appear whole or not at all, and what tells one content from all others."""

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a name to write a file under; it takes its own name in one step, and on an error it is gone.

    A process that is killed or fails leaves what stood there before, or nothing; two at once do not mix. A link is
    followed, and a file that takes another's place is open to nobody new and, where whoever writes may give files away,
    belongs to whom the other did. A device or a pipe is written as it is.

    Raises:
        OSError: The file cannot be written; it names ``path``.
    """
    fresh = path if _is_special(path) else _draft(path)
    try:
        yield fresh
        if fresh != path:
            _take_place(fresh, _target(path))
    except OSError as error:
        raise _of(path, error, draft=fresh) from error
    finally:
        if fresh != path:
            fresh.unlink(missing_ok=True)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Make a folder to work in beside a file that is to appear; it goes at the end, with all that is in it.

    A process that is killed leaves it: see :func:`dead_drafts`.

    Raises:
        OSError: The folder cannot be made.
    """
    folder = _draft(path)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_can_appear(path: Path) -> None:
    """Find out before long work what would only show at its end; a file that is there stays as it is.

    Raises:
        OSError: The file could not be written: its folder is missing or closed, or it is a folder itself.
    """
    if not _is_special(path):
        fresh = _draft(path)
        try:
            fresh.touch()
        except OSError as error:
            raise _of(path, error, draft=fresh) from error
        finally:
            fresh.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    r"""Write a whole file in UTF-8, and its folder where there is none.

    Half of a surrogate pair, as a broken log may hold, becomes ``\ud800``.

    Raises:
        OSError: The file cannot be written; it stays what it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with appearing(path) as fresh:
        fresh.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def give_as(descriptor: int, like: os.stat_result) -> None:
    """Give an open file to whom another belongs, where whoever runs this may, and the disk knows of owners.

    Not one that has a second name elsewhere.
    """
    now = os.fstat(descriptor)
    if now.st_nlink == 1 and (now.st_uid, now.st_gid) != (like.st_uid, like.st_gid):
        with suppress(OSError):
            os.fchown(descriptor, like.st_uid, like.st_gid)


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file, as 64 hexadecimal digits.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def discard_drafts(folder: Path) -> None:
    """Delete the files that processes which are no more were writing in a folder when they were killed."""
    for draft in dead_drafts(folder):
        if draft.is_file():
            draft.unlink(missing_ok=True)


def dead_drafts(folder: Path) -> Iterator[Path]:
    """List the unfinished files and scratch folders that processes which are no more left in a folder."""
    for draft in folder.glob(".*.*"):
        process = re.search(r"\.([0-9]+)(-[0-9a-f]+)?$", draft.name)
        if process and not _is_alive(int(process[1])):
            yield draft


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a folder, not a file", str(path))
    return not stat.S_ISREG(mode)


def _target(path: Path) -> Path:
    return path.resolve() if path.is_symlink() else path


def _draft(path: Path) -> Path:
    target = _target(path)
    name = target.name[:48]  # a file's name may be 255 bytes long, and a character four
    return target.with_name(f".{name}.{os.getpid()}-{secrets.token_hex(4)}")


def _take_place(fresh: Path, target: Path) -> None:
    if target.exists():
        before = target.stat()
        # Not by name: whoever may write into the folder could have put a link to another file there.
        descriptor = os.open(fresh, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            give_as(descriptor, before)
            os.fchmod(descriptor, stat.S_IMODE(os.fstat(descriptor).st_mode & before.st_mode))
        finally:
            os.close(descriptor)
    fresh.replace(target)


def _of(path: Path, error: OSError, *, draft: Path) -> OSError:
    """Name the file that the person knows in place of its draft; what is said of another file stays."""
    is_about_another = error.filename is not None and str(error.filename) != str(draft)
    if error.errno is None or is_about_another:
        return error
    return OSError(error.errno, error.strerror, str(path))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks, and does nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
