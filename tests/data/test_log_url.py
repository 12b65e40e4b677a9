import json
from pathlib import Path

import fsspec
import pyarrow
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow import parquet

from personaplug.data.log import read_log
from personaplug.data.log_url import LogUrl, log_address
from personaplug.errors import DataError
from personaplug.tasks.task import load_task

ROWS = [
    {"user_id": user, "time": f"2024-01-0{day}", "id": f"{day}", "input": f"asked {day}", "output": f"said by {user}"}
    for user in ("ada", "bob")
    for day in (1, 2, 3)
]
TASK = load_task("log")


@pytest.fixture
def bucket():
    """A folder of an object storage that is this process's memory."""
    url = "memory://bucket/log"
    yield url
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def put(url, rows):
    with fsspec.open(url, "wb") as file:
        parquet.write_table(pyarrow.Table.from_pylist(rows), file)


def read_file(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(read_log(path, TASK))


def test_a_folder_of_an_object_storage_is_read_as_one_file_in_the_order_of_names(bucket, tmp_path):
    put(f"{bucket}/part-1.parquet", ROWS[4:])
    put(f"{bucket}/part-0.parquet", ROWS[:4])
    with fsspec.open(f"{bucket}/_SUCCESS", "wb") as file:
        file.write(b"")
    assert list(read_log(log_address(bucket), TASK)) == read_file(tmp_path / "log.jsonl", ROWS)


def test_one_file_of_an_object_storage_is_a_log(bucket, tmp_path):
    put(f"{bucket}/all.parquet", ROWS)
    assert list(read_log(log_address(f"{bucket}/all.parquet"), TASK)) == read_file(tmp_path / "log.jsonl", ROWS)


def test_a_folder_of_this_machine_is_a_log_of_parquet(tmp_path):
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    address = log_address(str(tmp_path))
    assert address == LogUrl(tmp_path.as_uri())
    assert len(list(read_log(address, TASK))) == len(ROWS)


def test_a_file_is_a_path_whatever_its_name():
    assert log_address("log.jsonl") == Path("log.jsonl")
    assert log_address("s3:/odd") == Path("s3:/odd")


def test_a_bad_row_is_named_by_its_part_and_number(bucket):
    put(f"{bucket}/part-0.parquet", ROWS[:2])
    put(f"{bucket}/part-1.parquet", [ROWS[2], ROWS[3] | {"time": "someday"}])
    with pytest.raises(DataError, match=r"memory://(/)?bucket/log/part-1\.parquet:2: the time 'someday'"):
        list(read_log(log_address(bucket), TASK))


def test_a_missing_column_is_named(bucket):
    put(f"{bucket}/part-0.parquet", [{key: row[key] for key in row if key != "output"} for row in ROWS])
    with pytest.raises(DataError, match="the column 'output' is missing") as caught:
        list(read_log(log_address(bucket), TASK))
    assert "the columns here are user_id, time, id, input" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://bucket/none.parquet", "there is no such file"),
        ("memory://bucket/log.jsonl", "holds no Parquet"),
        ("nowhere://bucket/log.parquet", "nothing that is installed reads such an address"),
        ("memory://bucket/broken.parquet", "cannot be read as Parquet"),
    ],
)
def test_an_address_where_there_is_no_log_is_one_clear_error(url, message):
    with fsspec.open("memory://bucket/broken.parquet", "wb") as file:
        file.write(b"no parquet")
    with pytest.raises(DataError, match=message) as caught:
        list(read_log(log_address(url), TASK))
    assert caught.value.hint or "no such file" in message


@pytest.mark.parametrize("verb", ["isdir", "_open"])
def test_whatever_the_library_of_a_place_raises_is_one_clear_error_without_a_password(bucket, verb, monkeypatch):
    class OutOfReachError(Exception):
        """As botocore's are: none of Python's kinds."""

    def fail(*_, **__):
        raise OutOfReachError("no connection to https://ada:secret@host/bucket\nand more")

    put(f"{bucket}/part-0.parquet", ROWS)
    monkeypatch.setattr(MemoryFileSystem, verb, fail)
    with pytest.raises(DataError, match=r"OutOfReachError: no connection to https://host/bucket$") as caught:
        list(read_log(log_address(bucket), TASK))
    assert "check the address" in caught.value.hint


def test_a_password_in_an_address_is_not_shown():
    shown = log_address("ftp://ada:secret@host/log.parquet")
    assert str(shown) == "ftp://host/log.parquet"
    assert "secret" not in repr(shown)
