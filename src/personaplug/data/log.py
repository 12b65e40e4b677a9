"""An interaction log: one row for each thing a user did, in JSON Lines, CSV or Parquet, each also gzipped.

A row has ``user_id``, ``time``, the columns that the task names as input and output, and, where the log has them,
``id`` and ``split``. A log is read as a stream, so its size does not matter.
"""

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from personaplug.data.ids import read_id, read_user
from personaplug.data.log_url import LogAddress
from personaplug.data.rows import OnBad, Row, read_rows, refuse
from personaplug.data.times import parse_time
from personaplug.data.unreadable import Unreadable
from personaplug.errors import DataError
from personaplug.files import appearing
from personaplug.records import HistoryItem
from personaplug.tasks.task import Task

SPLITS = ("history", "train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Interaction:
    """One row of a log, read through a task.

    Attributes:
        user_id: Who.
        item: What they read and answered, and when.
        split: The log's own column ``split``: ``history``, ``train``, ``dev`` or ``test``; None where it is absent.
        has_output: False for a question whose answer is not known; ``item.output`` is then empty.
    """

    user_id: str
    item: HistoryItem
    split: str | None = None
    has_output: bool = True


@dataclass(slots=True)
class SkippedRows:
    """An ``on_bad`` that counts what was left out and keeps the first 20 errors."""

    count: int = 0
    first: list[DataError] = field(default_factory=list)

    def __call__(self, error: DataError) -> None:
        """Count one row."""
        self.count += 1
        if len(self.first) < 20:
            self.first.append(error)


def read_log(
    path: LogAddress, task: Task, *, user: str | None = None, on_bad: OnBad | None = None
) -> Iterator[Interaction]:
    """Read a log through a task, as a stream.

    A question is a row whose answer is not known: its output is null, or it is marked ``test`` and its output is absent
    or empty. Anywhere else a missing output is an error.

    Args:
        path: The log; its name tells its format. At an address there is Parquet: a file, or a folder of files.
        task: Says which columns are input and output.
        user: Whom the caller names: an id that is theirs to the letter is taken as it is.
        on_bad: Told of each row that cannot be read, which is then left out; None raises instead.

    Raises:
        DataError: A row or the whole file cannot be read, or no row is left.
    """
    for _, interaction in _read(path, task, user=user, on_bad=on_bad or refuse):
        yield interaction


def read_given(
    rows: Iterable[Mapping[str, object]], task: Task, *, source: Path, on_bad: OnBad | None = None
) -> Iterator[Interaction]:
    """Read the rows that a connector makes of a source as :func:`read_log` would, once they are written."""
    numbered = (Row(source, number, values) for number, values in enumerate(rows, start=1))
    for _, interaction in _read_all(numbered, task, path=source, on_bad=on_bad or refuse):
        yield interaction


def read_plain(path: Path, task: Task, *, on_bad: OnBad | None = None) -> Iterator[dict[str, str | None]]:
    """Read a log as plain rows for :func:`write_log`: checked against the task, times in ISO 8601, all columns kept."""
    told = on_bad or refuse
    for row, interaction in _read(path, task, on_bad=told):
        known = {
            "id": interaction.item.id,
            "user_id": interaction.user_id,
            "time": interaction.item.time.isoformat(),
        }
        columns = [column for column in row.values if column != "time"]
        try:
            plain = {column: known[column] if column in known else row.text(column) for column in columns}
        except DataError as error:
            told(error)
        else:
            yield {**plain, **known}


def write_log(rows: Iterable[Mapping[str, str | None]], path: Path) -> int:
    """Write rows as JSON Lines, gzipped if the name ends in ``.gz``; on any error the file stays what it was.

    Equal rows give equal bytes.

    Returns:
        How many rows were written.

    Raises:
        DataError: There are no rows, or the file cannot be written.
    """
    is_gzip = path.name.lower().endswith(".gz")
    if not path.name.lower().removesuffix(".gz").endswith(".jsonl"):
        raise DataError("a log is written as .jsonl or .jsonl.gz", path=path, hint="choose such a name")
    if path.exists() and not path.is_file():
        raise DataError("is not a file that can be replaced", path=path)
    try:
        with appearing(path) as fresh:
            count = _write(rows, fresh, is_gzip=is_gzip)
            if not count:
                raise DataError("nothing to write: the source gave no rows", path=path)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", path=path) from error
    return count


def log_line(row: Mapping[str, str | None]) -> str:
    """Write a row as a line of JSON that :func:`read_log` reads, its end included."""
    return json.dumps(readable(row), ensure_ascii=False) + "\n"


def readable(row: Mapping[str, str | None]) -> dict[str, str | None]:
    """Make a row that a log may hold: NUL and half of a surrogate pair, which no text may, become U+FFFD."""
    return {column: text and _clean(text) for column, text in row.items()}


def content_id(user_id: str, time: datetime, *, text: str, output: str | None) -> str:
    """Derive the id of what was done without one: 16 hexadecimal digits, the same for the same content and UTC time."""
    content = json.dumps([user_id, time.isoformat(), text, output])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _write(rows: Iterable[Mapping[str, str | None]], path: Path, *, is_gzip: bool) -> int:
    count = 0
    with path.open("wb") as file:
        packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) if is_gzip else nullcontext(file)
        with packed as target:
            for row in rows:
                target.write(log_line(row).encode())
                count += 1
    return count


def _clean(text: str) -> str:
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _read(path: LogAddress, task: Task, *, user: str | None = None, on_bad: OnBad) -> Iterator[tuple[Row, Interaction]]:
    return _read_all(read_rows(path, on_bad=on_bad), task, path=path, user=user, on_bad=on_bad)


def _read_all(
    rows: Iterable[Row], task: Task, *, path: LogAddress, user: str | None = None, on_bad: OnBad
) -> Iterator[tuple[Row, Interaction]]:
    is_empty = True
    for row in rows:
        try:
            interaction = _interaction(row, task, user=user)
        except DataError as error:
            on_bad(error)
            continue
        is_empty = False
        yield row, interaction
    if is_empty:
        told = "" if on_bad is refuse else "; without --skip-bad the first bad row tells what to do"
        raise DataError("holds no row that can be read", path=str(path), hint=f"{_columns_wanted(task)}{told}")


def _interaction(row: Row, task: Task, *, user: str | None) -> Interaction:
    user_id = user if user is not None and row.values.get("user_id") == user else read_user(row)
    time, split = _time(row), _split(row, task)
    column = task.columns.input
    text = task.input_of({column: _present(row, column, task=task)})
    output = _output(row, task, split=split)
    item = HistoryItem(
        _id(row, user_id, time=time, text=text, output=output), input=text, output=output or "", time=time
    )
    return Interaction(user_id, item, split=split, has_output=output is not None)


def _time(row: Row) -> datetime:
    value = row.values.get("time")
    if value is None or value == "":
        raise row.lacks("time")
    if isinstance(value, Unreadable):
        raise row.error(f"the time cannot be read: {value.reason}", hint="mend it, or leave such rows out: --skip-bad")
    try:
        return parse_time(value)
    except ValueError as error:
        hint = "write ISO 8601, as 2024-05-01 or 2024-05-01T12:30:00Z, or seconds since 1970 (from 1973 on)"
        raise row.error(f"the time {value!r:.40} cannot be read: {error}", hint=hint) from error


def _split(row: Row, task: Task) -> str | None:
    split = row.text("split") or None
    if split is None and task.split.by == "column":
        raise row.error(f"there is no split, by which task {task.name!r} splits", hint=_columns_here(row))
    if split is not None and split not in SPLITS:
        raise row.error(f"the split is {split!r:.40}", hint=f"it is one of {', '.join(SPLITS)}")
    return split


def _output(row: Row, task: Task, *, split: str | None) -> str | None:
    column = task.columns.output
    text = row.text(column)
    is_null = text is None and column in row.values
    if (split == "test" and not text) or (split is None and is_null):
        return None
    return task.output_of({column: _present(row, column, task=task)})


def _present(row: Row, column: str, *, task: Task) -> str:
    text = row.text(column)
    if text is None:
        state = "is null" if column in row.values else "is missing"
        raise row.error(f"the column {column!r} {state}", hint=f"{_columns_wanted(task)}; {_columns_here(row)}")
    return text


def _id(row: Row, user_id: str, *, time: datetime, text: str, output: str | None) -> str:
    return read_id(row, "id") or content_id(user_id, time, text=text, output=output)


def _columns_wanted(task: Task) -> str:
    return f"task {task.name!r} reads {task.columns.input!r} and answers with {task.columns.output!r}"


def _columns_here(row: Row) -> str:
    return f"the columns here are {', '.join(row.values)[:200] or 'none'}"
