"""Commits of a git repository as a log: who wrote which message, and which subject they gave it.

Merges and commits without a body are left out, and trailers such as ``Signed-off-by`` cut off. A user is an author,
under the pseudonym of the e-mail address that ``.mailmap`` gives, or of the name where there is no address. The time is
when a commit was written, not applied.

The commits of one patch series share words and are written within days. A task on this log therefore sets an embargo,
as ``git-subject`` does with ``embargo_days = 7``: a history then holds nothing its author wrote in the week before.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from shlex import quote
from tempfile import TemporaryFile
from typing import IO

from personaplug.data.pseudonym import pseudonym
from personaplug.data.skips import OnSkip, ignore
from personaplug.data.times import from_seconds
from personaplug.errors import DataError

_FIELDS = ("%H", "%aN", "%aE", "%at", "%s", "%b")
_CHUNK = 1 << 16
_TRAILER = re.compile(
    r"""
    [A-Za-z]+(-[A-Za-z]+)+ :\s       # Signed-off-by, Reviewed-by, Change-Id, ...
    | (Cc|Fixes|Link|Bug|Closes|Refs|Resolves|See|PR) :\s
    | \(cherry[ ]picked[ ]from\b
    | \[[\w.-]+ :.*\]$               # [maintainer: what they changed]
    """,
    re.VERBOSE | re.IGNORECASE,
)


def read_git(repository: Path, *, since: datetime | None = None, on_skip: OnSkip = ignore) -> Iterator[dict[str, str]]:
    """Yield a row for each commit that HEAD reaches, newest first: ``id user_id time body subject``.

    Args:
        repository: A working tree or a bare repository.
        since: Leave out commits written before.
        on_skip: Told why a commit is left out, for each.

    Raises:
        DataError: There is no git, no repository, or no commit in it.
    """
    for commit, name, email, seconds, subject, body in _commits(repository):
        try:
            time = from_seconds(int(seconds))
        except ValueError:
            on_skip("without a readable time")
            continue
        text, author = without_trailers(body), _author(name.strip(), email.strip())
        if not author:
            on_skip("without an author's address or name")
        elif since is not None and time < since:
            on_skip("before --since")
        elif not text or not subject.strip():
            on_skip("without a body or a subject")
        else:
            row = {"id": commit[:16], "user_id": pseudonym(author), "time": time.isoformat()}
            yield {**row, "body": text, "subject": subject.strip()}


def without_trailers(body: str) -> str:
    """Cut blank lines and trailers off the end of a commit message's body."""
    lines = body.strip().splitlines()
    while lines and (not lines[-1].strip() or _TRAILER.match(lines[-1])):
        lines.pop()
    return "\n".join(line.rstrip() for line in lines)


def _author(name: str, email: str) -> str:
    """Give what tells an author from others: the address, else the name with what stands in its place; or nothing."""
    if re.fullmatch(r"[^@]+@[^@]+", email):
        return email
    return f"{name} <{email}>" if name else ""


def _commits(repository: Path) -> Iterator[tuple[str, ...]]:
    command = [
        *("git", "-C", str(repository), "-c", "log.showSignature=false", "log", "--no-merges", "--encoding=UTF-8"),
        *("-z", f"--format={'%x00'.join(_FIELDS)}"),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["LC_ALL"] = "C"  # its complaints in English, for _failure
    try:
        with (
            TemporaryFile() as complaints,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, env=environment) as git,
        ):
            assert git.stdout is not None
            fields = _fields(git.stdout)
            yield from zip(*[fields] * len(_FIELDS), strict=False)
            if git.wait():
                complaints.seek(0)
                raise _failure(complaints.read().decode(errors="replace"), repository, status=git.returncode)
    except FileNotFoundError as error:
        raise DataError(
            "git is not installed", path=repository, hint="install git and see that it is on PATH"
        ) from error


def _failure(said: str, repository: Path, *, status: int) -> DataError:
    """Make an error of what git complains of, with git's own way out where it gives one."""
    first = next(iter(said.strip().splitlines()), f"it ended with {status}")
    first = re.sub("^(fatal|error): ", "", first)
    own_way_out = re.search(r"git config --global --add safe\.directory .+", said)
    if own_way_out:
        hint = f"if you trust who owns it: {own_way_out[0]}"
    elif re.search("not a git repository|cannot change to", first):
        hint = "give the folder of a git repository"
    elif re.search("does not have any commits|bad default revision", first):
        hint = "give a repository whose current branch has commits"
    else:
        hint = f"see what is wrong with it: git -C {quote(str(repository))} fsck"
    return DataError(f"git cannot read it: {first:.200}", path=repository, hint=hint)


def _fields(stream: IO[bytes]) -> Iterator[str]:
    rest = b""
    while chunk := stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from (field.decode(errors="replace") for field in whole)
