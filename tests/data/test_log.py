"""A log read through a task, written, and refused where it is wrong."""

import gzip
import json
import resource
import subprocess
import sys
from datetime import UTC, datetime
from unicodedata import category

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from personaplug.data.log import Interaction, SkippedRows, read_log, read_plain, write_log
from personaplug.errors import DataError
from personaplug.records import HistoryItem
from personaplug.tasks.task import Columns, Splitting, Task

TASK = Task(name="mine", description="", kind="generation", metrics=("rouge-1",))
MARKED = Task(name="marked", description="", kind="generation", metrics=("rouge-1",), split=Splitting(by="column"))
ROW = {"user_id": "ada", "time": "2024-05-01", "input": "What?", "output": "That."}
MAY = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def log(tmp_path):
    """A writer of JSON Lines that gives back the path."""

    def write(*rows):
        path = tmp_path / "log.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def read(path, task=TASK):
    return list(read_log(path, task))


def test_a_row_becomes_an_interaction(log):
    path = log(ROW | {"id": "7", "split": "dev"})
    assert read(path) == [Interaction("ada", HistoryItem("7", "What?", "That.", MAY), split="dev")]


def test_the_task_says_which_columns_are_read(log):
    task = Task("mine", "", "generation", ("rouge-1",), columns=Columns("body", "subject", output_words=2))
    row = read(log({"user_id": "ada", "time": 1714564800, "body": "b", "subject": "one two three"}), task)[0]
    assert (row.item.input, row.item.output) == ("b", "one two")


def test_numbers_are_read_as_text(log):
    row = read(log(ROW | {"user_id": 12, "output": 5, "id": 3}))[0]
    assert (row.user_id, row.item.output, row.item.id) == ("12", "5", "3")


def test_texts_of_100_000_characters_and_emoji_are_read_whole(log):
    text = "🦉 owl\r\n" * 15_000
    assert read(log(ROW | {"input": text}))[0].item.input == text


def test_a_row_without_id_gets_one_from_its_content(log):
    same, again, *others = read(log(ROW, ROW, *(ROW | {key: "2025-01-01"} for key in ROW)))
    assert same.item.id == again.item.id
    assert len({row.item.id for row in (same, *others)}) == 1 + len(ROW)


@pytest.mark.parametrize("split", ["history", "train", "dev", None])
def test_an_absent_output_is_an_error_except_in_test(split, log):
    row = {key: text for key, text in ROW.items() if key != "output"}
    with pytest.raises(DataError, match="the column 'output' is missing") as caught:
        read(log(row | {"split": split}))
    assert "task 'mine' reads 'input' and answers with 'output'" in caught.value.hint
    assert "user_id, time, input" in caught.value.hint
    assert not read(log(row | {"split": "test"}))[0].has_output


@pytest.mark.parametrize(("split", "output"), [("test", None), ("test", ""), (None, None)])
def test_a_question_without_answer_is_known_as_one(split, output, log):
    row = read(log(ROW | {"split": split, "output": output}))[0]
    assert (row.has_output, row.item.output) == (False, "")


@pytest.mark.parametrize(("split", "output"), [("test", "yes"), ("train", ""), (None, "")])
def test_an_answer_is_known_as_one_even_if_empty(split, output, log):
    assert read(log(ROW | {"split": split, "output": output}))[0].has_output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user_id": ""}, "there is no user_id"),
        ({"user_id": None}, "there is no user_id"),
        ({"user_id": "u" * 10_000}, "a user_id of 10,000 characters"),
        ({"user_id": ["ada"]}, "column 'user_id' holds a list"),
        ({"id": "i" * 10_000}, "an id of 10,000 characters"),
        ({"time": None}, "there is no time"),
        ({"time": "May 1st"}, "the time 'May 1st' cannot be read: neither ISO 8601"),
        ({"time": 45413.5}, "looks like a spreadsheet's day number"),
        ({"time": "x" * 10_000}, r"the time 'x{39} cannot be read"),
        ({"input": None}, "the column 'input' is null"),
        ({"input": {"text": "a"}}, "column 'input' holds an object"),
        ({"output": ["a"]}, "column 'output' holds a list"),
        ({"output": None, "split": "train"}, "the column 'output' is null"),
        ({"split": "validation"}, "the split is 'validation'"),
    ],
)
def test_a_bad_value_is_an_error_that_names_file_and_line(change, message, log):
    path = log(ROW, ROW | change, ROW)
    with pytest.raises(DataError, match=rf"^{path}:2: .*{message}") as caught:
        read(path)
    assert len(str(caught.value)) < len(str(path)) + 200


@pytest.mark.parametrize("column", ["user_id", "time"])
def test_the_hint_tells_a_column_that_is_absent_from_one_that_is_empty(column, log):
    for row, hint in [({**ROW, column: ""}, "empty or null here"), ({"x": 1, **ROW}, "the columns here are x, ")]:
        if hint.startswith("the"):
            del row[column]
        with pytest.raises(DataError, match=f"there is no {column}") as caught:
            read(log(row))
        assert hint in caught.value.hint


def test_whom_the_caller_names_is_read_whatever_the_id(log):
    path = log(ROW | {"user_id": "shop\x1fada"})
    with pytest.raises(DataError, match=r"control character U\+001F"):
        read(path)
    assert next(read_log(path, TASK, user="shop\x1fada")).user_id == "shop\x1fada"
    with pytest.raises(DataError, match=r"control character U\+001F"):
        next(read_log(path, TASK, user="ada"))


def test_a_task_that_splits_by_column_wants_the_column(log):
    with pytest.raises(DataError, match="there is no split, by which task 'marked' splits"):
        read(log(ROW), MARKED)


def test_bad_rows_are_left_out_counted_and_the_first_20_kept(log):
    skipped = SkippedRows()
    rows = list(read_log(log(ROW, *[ROW | {"time": "never"}] * 30, ROW), TASK, on_bad=skipped))
    assert (len(rows), skipped.count, len(skipped.first)) == (2, 30, 20)
    assert ":2: " in str(skipped.first[0])


def test_a_parquet_time_that_nothing_holds_is_named_and_can_be_left_out(tmp_path):
    columns = {key: pyarrow.array([text, text]) for key, text in ROW.items()}
    times = pyarrow.array([10**18, datetime(2024, 5, 1)], pyarrow.timestamp("us"))
    parquet.write_table(pyarrow.table({**columns, "time": times}), tmp_path / "log.parquet")
    with pytest.raises(DataError, match=rf"^{tmp_path}/log.parquet:1: the time cannot be read: 10{{18}} us .* 33658"):
        read(tmp_path / "log.parquet")
    skipped = SkippedRows()
    assert [row.item.time for row in read_log(tmp_path / "log.parquet", TASK, on_bad=skipped)] == [MAY]
    assert skipped.count == 1


@pytest.mark.parametrize("content", ["", "\n\n", json.dumps(ROW | {"time": "never"})])
def test_a_log_of_which_nothing_is_left_is_an_error(content, tmp_path):
    (tmp_path / "log.jsonl").write_text(content)
    with pytest.raises(DataError, match="holds no row"):
        list(read_log(tmp_path / "log.jsonl", TASK, on_bad=SkippedRows()))


def test_an_error_never_shows_the_texts_of_a_row(log):
    secret = {"input": "my secret", "output": "my secret", "notes": "my secret"}
    for change in [{"time": "never"}, {"user_id": ""}, {"split": "x"}, {"output": ["my secret"]}]:
        with pytest.raises(DataError) as caught:
            read(log(ROW | secret | change))
        assert "secret" not in f"{caught.value} {caught.value.hint}"


@settings(max_examples=25)
@given(st.lists(st.fixed_dictionaries({"user_id": st.text(min_size=1), "input": st.text(), "output": st.text()})))
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "any.jsonl.gz"
    rows = [ROW, *(row | {"user_id": f"u{row['user_id']}", "time": "2024-05-01"} for row in rows)]
    assert write_log(rows, path) == len(rows)
    skipped = SkippedRows()
    found = [(row.user_id, row.item.input, row.item.output) for row in read_log(path, TASK, on_bad=skipped)]
    written = [tuple(row[key].replace("\0", "\ufffd") for key in ("user_id", "input", "output")) for row in rows]
    assert found == [each for each in written if not any(category(sign) == "Cc" for sign in each[0])]
    assert skipped.count == len(written) - len(found)


def test_characters_that_no_text_may_hold_are_replaced(tmp_path):
    write_log([ROW | {"input": "a\0b\ud83dc \\u0000 \ud83e\udd89"}], tmp_path / "log.jsonl")
    assert read(tmp_path / "log.jsonl")[0].item.input == "a\ufffdb\ufffdc \\u0000 🦉"


def test_equal_rows_give_equal_bytes_at_any_time(tmp_path, monkeypatch):
    for now, name in enumerate(["one.jsonl.gz", "other.jsonl.gz"]):
        monkeypatch.setattr("gzip.time.time", lambda now=now: 1e9 + now)
        write_log([ROW], tmp_path / name)
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "other.jsonl.gz").read_bytes()
    assert json.loads(gzip.decompress((tmp_path / "one.jsonl.gz").read_bytes())) == ROW


def failing_rows():
    yield ROW
    raise DataError("broken half way", path="source")


@pytest.mark.parametrize("rows", [[], failing_rows()])
def test_a_log_that_cannot_be_made_leaves_the_old_one_as_it_was(rows, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("old")
    with pytest.raises(DataError, match=r"nothing to write|half way"):
        write_log(rows, path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_a_full_disk_is_an_error_and_leaves_nothing_behind(tmp_path):
    writing = (
        "from pathlib import Path; from personaplug.data.log import write_log\n"
        f"write_log([{{'input': 'x' * 1000}}] * 1000, Path({str(tmp_path / 'log.jsonl')!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", writing],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )
    assert "DataError" in done.stderr
    assert "log.jsonl: cannot be written: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("log.csv", "written as .jsonl"),
        ("folder.jsonl", "not a file"),
        ("none/log.jsonl", "cannot be written: No such"),
    ],
)
def test_where_no_log_can_be_written_is_an_error(name, message, tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DataError, match=message):
        write_log([ROW], tmp_path / name)


def test_a_plain_row_keeps_every_column_and_has_a_time_in_iso_8601(log, tmp_path):
    rows = [{**ROW, "time": 1714564800, "score": 4.5, "input": "i", "more": None}, {**ROW, "output": None}]
    plain = list(read_plain(log(*rows), TASK))
    assert plain[0] | {"id": ""} == {
        "id": "", "user_id": "ada", "time": "2024-05-01T12:00:00+00:00",
        "input": "i", "output": "That.", "score": "4.5", "more": None,
    }  # fmt: skip
    before = read(log(*rows))
    write_log(plain, tmp_path / "again.jsonl")
    assert read(tmp_path / "again.jsonl") == before


def test_a_row_of_which_only_another_column_is_bad_can_be_left_out_of_plain_rows(log):
    path, skipped = log(ROW, ROW | {"tags": ["a"]}, ROW), SkippedRows()
    with pytest.raises(DataError, match=r":2: column 'tags' holds a list, not text"):
        list(read_plain(path, TASK))
    assert (len(list(read_plain(path, TASK, on_bad=skipped))), skipped.count) == (2, 1)


def test_dates_of_other_columns_are_kept_as_text(tmp_path):
    columns = {key: pyarrow.array([text]) for key, text in ROW.items()}
    parquet.write_table(pyarrow.table({**columns, "born": pyarrow.array([MAY])}), tmp_path / "log.parquet")
    (row,) = read_plain(tmp_path / "log.parquet", TASK)
    assert row["born"] == "2024-05-01T00:00:00+00:00"
