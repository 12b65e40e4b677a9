"""LaMP-1 to 7 in the benchmark's own files, and predictions in the form its scorer reads.

``{train,dev,test}_questions.json`` is a list of ``{"id", "input", "profile": [...]}``. The ``_outputs.json`` beside it,
which for test may be missing, is ``{"task": "LaMP_n", "golds": [{"id", "output"}]}``. A profile item becomes a row with
split ``history``, a question one with the split of its file.

The files know no users: questions whose profiles have the same item ids are taken as one user's, and a question without
a profile as a user of its own. Items with a ``date`` keep it; others are numbered through as seconds from 1970, so that
their order stays. A question is asked one second after the latest item of its profile: it sees all of that and no other
question.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args

from personaplug.data.json_array import read_array
from personaplug.data.rows import OnBad, Row, check_is_file, refuse
from personaplug.data.times import EPOCH, parse_time
from personaplug.errors import ConfigError, DataError
from personaplug.files import appearing, check_can_appear
from personaplug.tasks.task import Split

Rows = Iterator[dict[str, str | None]]


@dataclass(frozen=True, slots=True)
class ProfileFields:
    """Which fields of a profile item are what the user read and what they answered; empty where there is none."""

    input: str
    output: str


PROFILE_FIELDS = {
    "lamp-1": ProfileFields("title", "abstract"),
    "lamp-2": ProfileFields("description", "tag"),
    "lamp-3": ProfileFields("text", "score"),
    "lamp-4": ProfileFields("text", "title"),
    "lamp-5": ProfileFields("abstract", "title"),
    "lamp-6": ProfileFields("text", "title"),
    "lamp-7": ProfileFields("", "text"),
}


def read_lamp(source: Path, task_name: str, *, on_bad: OnBad = refuse) -> Rows:
    """Yield the rows of a folder of question files, or of one such file, with the outputs that lie beside it.

    Args:
        source: The folder, or one ``train_questions.json``, ``dev_questions.json`` or ``test_questions.json``.
        task_name: ``lamp-1`` to ``lamp-7``.
        on_bad: Told of each question that cannot be read, which is then left out.

    Raises:
        ConfigError: The task is none of LaMP's.
        DataError: A file is missing, broken or of another task, or questions and outputs do not belong together.
    """
    fields = _fields_of(task_name)
    seen: set[str] = set()
    for path in _question_files(source):
        yield from _read_questions(path, fields, golds=_read_golds(path, task_name), seen=seen, on_bad=on_bad)


def write_predictions(task_name: str, predictions: Iterable[tuple[str, str]], *, path: Path) -> None:
    """Write (question id, answer) pairs as the official scorer reads them; on any error the file stays what it was.

    Raises:
        ConfigError: The task is none of LaMP's.
        DataError: The file cannot be written.
    """
    _fields_of(task_name)
    golds = [{"id": question, "output": answer} for question, answer in predictions]
    try:
        with appearing(path) as fresh:
            fresh.write_text(json.dumps({"task": _official_name(task_name), "golds": golds}), encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", path=path) from error


def check_predictions(task_name: str, path: Path) -> None:
    """Raise before the work what :func:`write_predictions` would raise after it; the file stays as it is."""
    _fields_of(task_name)
    try:
        check_can_appear(path)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", path=path) from error


def _fields_of(task_name: str) -> ProfileFields:
    if task_name not in PROFILE_FIELDS:
        raise ConfigError(f"{task_name!r} is no task of LaMP", hint=f"--task is one of {', '.join(PROFILE_FIELDS)}")
    return PROFILE_FIELDS[task_name]


def _official_name(task_name: str) -> str:
    return task_name.replace("lamp-", "LaMP_")


def _question_files(source: Path) -> tuple[Path, ...]:
    names = [f"{split}_questions.json" for split in get_args(Split)]
    hint = f"give a folder with {', '.join(names)}, or one of these"
    if source.is_dir():
        found = tuple(source / name for name in names if (source / name).exists())
        if not found:
            raise DataError("the folder has no question files", path=source, hint=hint)
        return found
    check_is_file(source)
    if source.name not in names:
        raise DataError("the name does not say which split this is", path=source, hint=hint)
    return (source,)


def _read_golds(questions: Path, task_name: str) -> dict[str, str] | None:
    """Read the outputs that belong to a question file; None where a test file has none."""
    path = questions.with_name(questions.name.replace("_questions", "_outputs"))
    if not path.exists() and questions.name.startswith("test"):
        return None
    check_is_file(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(f"broken JSON: {error.msg}", path=path, line=error.lineno) from error
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"cannot be read: {error}", path=path) from error
    try:
        name, golds = content["task"], {_word(gold["id"]): _word(gold["output"]) for gold in content["golds"]}
    except (KeyError, TypeError) as error:
        form = '{"task": "LaMP_n", "golds": [{"id": ..., "output": ...}]}'
        raise DataError(f"not an outputs file ({error} is wrong)", path=path, hint=f"its form is {form}") from error
    if name != _official_name(task_name):
        raise DataError(f"these are outputs of {name!r:.20}, not of {task_name}", path=path, hint="check --task")
    return golds


def _read_questions(
    path: Path, fields: ProfileFields, *, golds: dict[str, str] | None, seen: set[str], on_bad: OnBad
) -> Rows:
    asked: set[str] = set()
    for row in read_array(path):
        try:
            rows = _rows_of(row, fields, golds=golds, asked=asked)
        except DataError as error:
            on_bad(error)
            continue
        is_new = rows[-1]["user_id"] not in seen
        seen.add(str(rows[-1]["user_id"]))
        yield from rows if is_new else rows[-1:]
    if lost := sorted(set(golds or ()) - asked):
        message = f"has no question {lost[0]!r:.40}, but there is an output for it ({len(lost)} such outputs)"
        on_bad(DataError(message, path=path, hint="fetch questions and outputs of the same split and task"))


def _rows_of(
    row: Row, fields: ProfileFields, *, golds: Mapping[str, str] | None, asked: set[str]
) -> list[dict[str, str | None]]:
    """Write a question as rows: its profile, then itself."""
    question, profile = _field(row, row.values, name="id"), row.values.get("profile")
    if question in asked:
        raise row.error(f"there are two questions {question!r:.40}")
    asked.add(question)
    if golds is not None and question not in golds:
        raise row.error(
            f"the question {question!r:.40} has no output", hint="fetch the outputs of the same split and task"
        )
    if not isinstance(profile, list) or not all(isinstance(item, dict) for item in profile):
        raise row.error(f"the profile of question {question!r:.40} is not a list of objects")
    times = _times(row, profile)
    user_id = _user_id(question, [_field(row, item, name="id") for item in profile])
    return [
        *(
            _history_row(row, item, time=time, fields=fields, user_id=user_id)
            for item, time in zip(profile, times, strict=True)
        ),
        {
            "user_id": user_id,
            "time": (max(times, default=EPOCH) + timedelta(seconds=1)).isoformat(),
            "id": question,
            "input": _field(row, row.values, name="input"),
            "output": golds[question] if golds is not None else None,
            "split": row.path.name.partition("_")[0],
        },
    ]


def _history_row(
    row: Row, item: Mapping[str, object], *, time: datetime, fields: ProfileFields, user_id: str
) -> dict[str, str | None]:
    return {
        "user_id": user_id,
        "time": time.isoformat(),
        "id": _field(row, item, name="id"),
        "input": _field(row, item, name=fields.input) if fields.input else "",
        "output": _field(row, item, name=fields.output),
        "split": "history",
    }


def _user_id(question: str, item_ids: Sequence[str]) -> str:
    content = json.dumps(sorted(item_ids) or ["question", question])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _times(row: Row, profile: Sequence[Mapping[str, object]]) -> list[datetime]:
    if not any("date" in item for item in profile):
        return [EPOCH + timedelta(seconds=position) for position in range(len(profile))]
    try:
        return [_date(_field(row, item, name="date")) for item in profile]
    except ValueError as error:
        raise row.error(f"a date in the profile cannot be read: {error}") from error


def _date(text: str) -> datetime:
    """Read a date as LaMP writes it: a year, a month of a year, or a day, with or without leading zeros."""
    parts = text.split("-")
    if len(parts) > 3 or len(parts[0]) != 4 or not all(part.isdecimal() for part in parts):
        return parse_time(text)
    year, month, day = (*map(int, parts), 1, 1)[:3]
    return parse_time(f"{year:04}-{month:02}-{day:02}")


def _field(row: Row, values: Mapping[str, object], *, name: str) -> str:
    try:
        return _word(values.get(name))
    except TypeError:
        where = "the question" if values is row.values else "a profile item"
        hint = f"it has {', '.join(values)[:200]}; check --task"
        raise row.error(f"{where} has no {name!r} that is text", hint=hint) from None


def _word(value: object) -> str:
    if not isinstance(value, str | int | float):
        raise TypeError(f"a {type(value).__name__}")
    return value if isinstance(value, str) else json.dumps(value)
