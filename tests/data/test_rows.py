"""Rows of files in every format, good and bad."""

import csv
import gzip
import json
import subprocess
import sys
import tracemalloc

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from personaplug.data.rows import LONGEST_LINE, read_rows
from personaplug.errors import DataError, MissingExtraError

ROWS = [
    {"user_id": "ada", "text": 'She said: "no, thanks"'},
    {"user_id": "bob", "text": "two\nlines, and an emoji 🦉"},
    {"user_id": "ünal", "text": ""},
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def write_jsonl(rows, file):
    file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def write_csv(rows, file):
    lines = [",".join('"' + text.replace('"', '""') + '"' for text in row.values()) + "\r\n" for row in rows]
    file.write(("user_id,text\r\n" + "".join(lines)).encode())


def write_parquet(rows, file):
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)


WRITERS = {".jsonl": write_jsonl, ".csv": write_csv, ".parquet": write_parquet}


def write(path, rows):
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as file:
        WRITERS[path.suffixes[0]](rows, file)
    return path


@pytest.fixture(params=[*WRITERS, *(f"{kind}.gz" for kind in WRITERS)])
def kind(request):
    return request.param


def collect(path):
    """Read all rows, and the errors of those left out."""
    errors = []
    return list(read_rows(path, on_bad=errors.append)), errors


def test_every_format_gives_the_same_rows(kind, tmp_path):
    assert [row.values for row in read_rows(write(tmp_path / f"log{kind}", ROWS))] == ROWS


def test_a_file_cut_off_is_an_error_that_names_it(kind, tmp_path):
    path = write(tmp_path / f"log{kind}", ROWS * 100)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=rf"log{kind}\b.*(cannot be read|broken)"):
        list(read_rows(path))


def test_bytes_of_another_kind_are_an_error_that_names_the_file(kind, tmp_path):
    path = tmp_path / f"log{kind}"
    path.write_bytes(b"\xff\xfe\x00garbage" * 50)
    with pytest.raises(DataError, match=f"log{kind}"):
        list(read_rows(path))


def test_a_missing_file_and_a_folder_are_errors(kind, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_rows(tmp_path / f"log{kind}")
    (tmp_path / f"log{kind}").mkdir()
    with pytest.raises(DataError, match="a folder"):
        read_rows(tmp_path / f"log{kind}")


def test_an_unknown_ending_is_an_error_that_lists_the_known(tmp_path):
    (tmp_path / "log.txt").write_text("{}")
    with pytest.raises(DataError, match=r"\.jsonl, \.csv, \.parquet"):
        read_rows(tmp_path / "log.txt")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_of_both_worlds_and_a_byte_order_mark_are_read(end, tmp_path):
    for path, lines in [
        (tmp_path / "log.jsonl", ['{"user_id": "ada"}', "", '{"user_id": "bob"}']),
        (tmp_path / "log.csv", ["user_id", "ada", "", "bob"]),
    ]:
        path.write_bytes(b"\xef\xbb\xbf" + end.join(lines).encode())
        assert [row.values for row in read_rows(path)] == [{"user_id": "ada"}, {"user_id": "bob"}]


@settings(max_examples=25)
@given(st.lists(st.fixed_dictionaries({"a": TEXTS, "b": TEXTS}), max_size=5))
def test_any_text_survives_csv(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["a", "b"], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    assert [row.values for row in read_rows(path)] == rows


def test_lines_are_counted_through_newlines_inside_fields(tmp_path):
    path = write(tmp_path / "log.csv", ROWS)
    assert [row.line for row in read_rows(path)] == [2, 3, 5]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"user_id": ', r"broken JSON at character \d+"),
        (b"[1, 2]", "a list, not a JSON object"),
        (b'"text"', "a text, not a JSON object"),
        (b"[" * 100_000, "not a row"),
        (b'{"n": ' + b"1" * 5000 + b"}", "not a row"),
        ('{"user_id": "caf\xe9"}'.encode("latin-1"), "not UTF-8: byte 0xe9 after 16 characters"),
    ],
)
def test_a_broken_line_is_named_and_can_be_left_out(line, message, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"user_id": "ada"}\n' + line + b'\n{"user_id": "bob"}\n')
    with pytest.raises(DataError, match=rf"log\.jsonl:2: .*{message}"):
        list(read_rows(path))
    rows, errors = collect(path)
    assert [row.values["user_id"] for row in rows] == ["ada", "bob"]
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"only one", "1 fields where the header has 2"),
        (b"a,b,c", "3 fields where the header has 2"),
        (b'"a"b,c', "broken CSV"),
        (b"caf\xe9,x", "not UTF-8: byte 0xe9"),
    ],
)
def test_a_broken_csv_row_is_named_and_can_be_left_out(line, message, tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"user_id,text\nada,1\n" + line + b"\nbob,2\n")
    with pytest.raises(DataError, match=rf"log\.csv:3: .*{message}"):
        list(read_rows(path))
    rows, errors = collect(path)
    assert [row.values["user_id"] for row in rows] == ["ada", "bob"]
    assert len(errors) == 1


def test_a_quote_that_never_closes_tells_how_far_it_reaches(tmp_path):
    (tmp_path / "log.csv").write_text('user_id,text\nada,"open\nbob,2\n')
    with pytest.raises(DataError, match=r"log\.csv:2: .*lines 2 to 3"):
        list(read_rows(tmp_path / "log.csv"))


@pytest.mark.parametrize("header", [b"user_id,user_id\n", b'"user_id"x\n', b"caf\xe9\n"])
def test_a_broken_csv_header_is_an_error_of_the_whole_file(header, tmp_path):
    (tmp_path / "log.csv").write_bytes(header + b"a,b\n")
    with pytest.raises(DataError, match=r"log\.csv:1"):
        collect(tmp_path / "log.csv")


def test_a_line_without_end_is_an_error_and_not_read_whole(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(b" " * (LONGEST_LINE + 10))
    with pytest.raises(DataError, match="a line of more than 16,777,216 characters"):
        list(read_rows(tmp_path / "log.jsonl"))


@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".jsonl.gz"])
def test_a_file_is_read_as_a_stream(kind, tmp_path):
    rows = [{"user_id": "ada", "text": "word " * 20_000}] * 200
    path = write(tmp_path / f"log{kind}", rows)
    tracemalloc.start()
    assert sum(1 for _ in read_rows(path)) == 200
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000 < 200 * 100_000


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), ("", ""), (5, "5"), (4.5, "4.5"), (True, "true"), (None, None)]
)
def test_plain_values_are_text(value, text, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"text": value}))
    assert next(read_rows(path)).text("text") == text
    assert next(read_rows(path)).text("absent") is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('["a"]', "a list, not text"),
        ("{}", "an object, not text"),
        ("NaN", "the float nan, not text"),
        ('"a\\u0000b"', r"the character U\+0000"),
        ('"a\\ud83d"', r"the character U\+D83D"),
    ],
)
def test_what_is_no_text_is_an_error_that_names_line_and_column(value, message, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(f'{{"text": {value}}}')
    with pytest.raises(DataError, match=rf"log\.jsonl:1: column 'text' holds {message}"):
        next(read_rows(path)).text("text")


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    path = write(tmp_path / "log.parquet", ROWS)
    monkeypatch.delitem(sys.modules, "personaplug.data.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="Parquet") as caught:
        list(read_rows(path))
    assert "personaplug[parquet]" in caught.value.hint


def test_reading_a_log_loads_neither_pyarrow_nor_torch():
    modules = ["log", "split", "lamp", "git_history", "mbox", "audit", "stranger", "sample"]
    imports = ", ".join(f"personaplug.data.{module}" for module in modules)
    check = f"import sys, {imports}; sys.exit(bool({{'pyarrow', 'torch', 'transformers'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
