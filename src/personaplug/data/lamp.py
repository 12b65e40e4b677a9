"""LaMP-1 to 7 in the benchmark's own files, and predictions in the form its scorer reads.

``{train,dev,test}_questions.json`` is a list of ``{"id", "input", "profile": [...]}``, in the time split with a
``user_id``. The ``_outputs.json`` beside it, which for test may be missing, is
``{"task": "LaMP_n", "golds": [{"id", "output"}]}``; LaMP-6's test questions stand in such a frame too. A profile item
becomes a row with split ``history``, a question one with the split of its file, in the order of the files. Who asks,
and when, says :mod:`personaplug.data.lamp_users`: a question sees all of its profile and no other question.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from personaplug.data.json_array import read_array
from personaplug.data.lamp_question import LampQuestion, ProfileFields, as_text, field_of, read_question
from personaplug.data.lamp_users import Users, named_users
from personaplug.data.rows import OnBad, Row, check_is_file, refuse
from personaplug.data.skips import OnSkip, ignore
from personaplug.errors import ConfigError, DataError
from personaplug.files import appearing, check_can_appear
from personaplug.tasks.task import Split

Rows = Iterator[dict[str, str | None]]

PROFILE_FIELDS = {
    "lamp-1": ProfileFields("title", "abstract"),
    "lamp-2": ProfileFields("description", "tag"),
    "lamp-3": ProfileFields("text", "score"),
    "lamp-4": ProfileFields("text", "title"),
    "lamp-5": ProfileFields("abstract", "title"),
    "lamp-6": ProfileFields("text", "title"),
    "lamp-7": ProfileFields("", "text"),
}


def read_lamp(source: Path, task_name: str, *, on_bad: OnBad = refuse, on_skip: OnSkip = ignore) -> Rows:
    """Yield the rows of a folder of question files, or of one such file, with the outputs that lie beside it.

    Args:
        source: The folder, or one ``train_questions.json``, ``dev_questions.json`` or ``test_questions.json``.
        task_name: ``lamp-1`` to ``lamp-7``.
        on_bad: Told of each question that cannot be read, which is then left out.
        on_skip: Told of each profile item that stands in its profile a second time, and counts once.

    Raises:
        ConfigError: The task is none of LaMP's.
        DataError: A file is missing, broken or of another task, or questions and outputs do not belong together.
    """
    fields, paths = _fields_of(task_name), _question_files(source)
    users = Users(named_users(question for path in paths for question in _named(path, task_name)))
    for path in paths:
        asked: set[str] = set()
        golds = _read_golds(path, task_name)
        for row in _questions(path, task_name, on_bad=on_bad):
            try:
                output = _output(row, golds, asked=asked)
                question = read_question(row, fields, on_skip=on_skip)
                rows = users.rows(question, output, split=path.name.partition("_")[0])
            except DataError as error:
                on_bad(error)
            else:
                yield from rows
        if lost := sorted(set(golds or ()) - asked):
            message = f"has no question {lost[0]!r:.40}, but there is an output for it ({len(lost)} such outputs)"
            on_bad(DataError(message, path=path, hint="fetch questions and outputs of the same split and task"))


def check_predictions(task_name: str, *, path: Path) -> None:
    """Refuse what :func:`write_predictions` would refuse; a file that stands there stays what it is.

    Raises:
        ConfigError: The task is none of LaMP's.
        DataError: The file cannot be written.
    """
    _fields_of(task_name)
    if path.is_dir():
        raise DataError("is a folder, not a file", path=path, hint="name a file, as in --predictions answers.json")
    try:
        check_can_appear(path)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", path=path) from error


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
    except (UnicodeDecodeError, RecursionError, OSError) as error:
        raise DataError(f"cannot be read: {error}", path=path) from error
    try:
        name, golds = content["task"], {as_text(gold["id"]): as_text(gold["output"]) for gold in content["golds"]}
    except (KeyError, TypeError) as error:
        form = '{"task": "LaMP_n", "golds": [{"id": ..., "output": ...}]}'
        raise DataError(f"not an outputs file ({error} is wrong)", path=path, hint=f"its form is {form}") from error
    if name != _official_name(task_name):
        raise DataError(f"these are outputs of {name!r:.20}, not of {task_name}", path=path, hint="check --task")
    return golds


def _named(path: Path, task_name: str) -> Iterator[LampQuestion]:
    """Read the questions of a file that names users; what cannot be read is told when the file is read again."""
    for row in _questions(path, task_name, on_bad=_later):
        if row.values.get("user_id") is None:
            return
        try:
            yield read_question(row, PROFILE_FIELDS[task_name])
        except DataError:
            continue


def _later(_: DataError) -> None:
    """Leave it to the second reading."""


def _questions(path: Path, task_name: str, *, on_bad: OnBad) -> Iterator[Row]:
    """Read the objects of a question file, all of which have a user or none."""

    def check(name: str, value: object) -> None:
        if name == "task" and value != _official_name(task_name):
            raise DataError(f"these are questions of {value!r:.20}, not of {task_name}", path=path, hint="check --task")

    is_named: bool | None = None
    for row in read_array(path, inside="golds", on_member=check):
        has_name = row.values.get("user_id") is not None
        is_named = has_name if is_named is None else is_named
        if has_name == is_named:
            yield row
        else:
            said = ("no user_id", "a user_id")
            message = f"the question has {said[has_name]}, the first of the file has {said[is_named]}"
            on_bad(row.error(message, hint="fetch the file again; --skip-bad leaves such questions out"))


def _output(row: Row, golds: dict[str, str] | None, *, asked: set[str]) -> str | None:
    """Find the output of a question, whose id is then one of those asked; None where no output is known."""
    question = field_of(row, row.values, name="id")
    if question in asked:
        raise row.error(f"there are two questions {question!r:.40}")
    asked.add(question)
    if golds is None:
        return None
    if question not in golds:
        raise row.error(
            f"the question {question!r:.40} has no output", hint="fetch the outputs of the same split and task"
        )
    return golds[question]
