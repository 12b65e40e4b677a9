"""Commits of a git repository as a log: who wrote which message, and which subject they gave it.

Merges and commits without a body are left out, and trailers such as ``Signed-off-by`` cut off. A user is an author,
under the pseudonym of the e-mail address that ``.mailmap`` gives. The time is when a commit was written, not applied.

The commits of one patch series share words and are written within days. A task on this log therefore sets an embargo,
as ``git-subject`` does with ``embargo_days = 7``: a history then holds nothing its author wrote in the week before.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from personaplug.data.pseudonym import pseudonym
from personaplug.data.skips import OnSkip, ignore
from personaplug.data.times import parse_time
from personaplug.errors import DataError

_FIELDS = ("%H", "%aE", "%at", "%s", "%b")
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
    for commit, email, seconds, subject, body in _commits(repository):
        try:
            time = parse_time(seconds)
        except ValueError:
            on_skip("without a readable time")
            continue
        text = without_trailers(body)
        if since is not None and time < since:
            on_skip("before --since")
        elif not text or not subject.strip():
            on_skip("without a body or a subject")
        else:
            row = {"id": commit[:16], "user_id": pseudonym(email), "time": time.isoformat()}
            yield {**row, "body": text, "subject": subject.strip()}


def without_trailers(body: str) -> str:
    """Cut blank lines and trailers off the end of a commit message's body."""
    lines = body.strip().splitlines()
    while lines and (not lines[-1].strip() or _TRAILER.match(lines[-1])):
        lines.pop()
    return "\n".join(line.rstrip() for line in lines)


def _commits(repository: Path) -> Iterator[tuple[str, ...]]:
    command = [
        *("git", "-C", str(repository), "-c", "log.showSignature=false", "log", "--no-merges", "--encoding=UTF-8"),
        *("-z", f"--format={'%x00'.join(_FIELDS)}"),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
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
                said = complaints.read().decode(errors="replace").strip().removeprefix("fatal: ")
                hint = "give the folder of a git repository that has commits"
                raise DataError(f"git cannot read it: {said.splitlines()[0]:.200}", path=repository, hint=hint)
    except FileNotFoundError as error:
        raise DataError(
            "git is not installed", path=repository, hint="install git and see that it is on PATH"
        ) from error


def _fields(stream: IO[bytes]) -> Iterator[str]:
    rest = b""
    while chunk := stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from (field.decode(errors="replace") for field in whole)
