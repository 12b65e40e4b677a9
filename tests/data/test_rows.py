"""Rows of files in every format, good and bad."""

import csv
import gzip
import json
import subprocess
import sys
import tracemalloc
from datetime import UTC, date, datetime

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from personaplug.data import mending
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
    path.write_bytes(b"\xff\x00garbage" * 50)
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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".csv.gz"])
def test_an_encoding_that_the_first_bytes_tell_is_read(encoding, kind, tmp_path):
    path = write(tmp_path / f"log{kind}", ROWS)
    with gzip.open(path) if kind.endswith(".gz") else path.open("rb") as file:
        text = file.read().decode()
    with gzip.open(path, "wb") if kind.endswith(".gz") else path.open("wb") as file:
        file.write(text.encode(encoding))
    assert [row.values for row in read_rows(path)] == ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n".encode("utf-16")[:-1], "cannot be read further"),
        ('{"a": "\ud83d"}'.encode("utf-16", "surrogatepass"), r"half of a surrogate pair, U\+D83D"),
    ],
)
def test_broken_utf_16_is_an_error_that_names_the_line(content, message, tmp_path):
    path = tmp_path / ("log.jsonl" if "pair" in message else "log.csv")
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"log\.\w+:\d: .*{message}"):
        list(read_rows(path))


def follow(error):
    """Type the command at the end of a hint."""
    subprocess.run(error.value.hint.partition(": ")[2], shell=True, check=True)


@pytest.mark.parametrize(
    ("true", "named"), [(".csv.gz", ".csv"), (".csv", ".csv.gz"), (".parquet", ".jsonl"), (".jsonl.gz", ".jsonl")]
)
def test_a_file_that_is_not_what_its_name_says_is_renamed_by_the_hint(true, named, tmp_path):
    path = write(tmp_path / f"it's a log{true}", ROWS).rename(tmp_path / f"it's a log{named}")
    with pytest.raises(DataError, match=rf"a log{named}\b") as caught:
        list(read_rows(path))
    follow(caught)
    assert [row.values for row in read_rows(tmp_path / f"it's a log{true}")] == ROWS


@pytest.mark.parametrize("kind", [".json", ".json.gz"])
def test_a_json_list_is_made_a_log_by_the_hint(kind, tmp_path):
    path = tmp_path / f"a log{kind}"
    with gzip.open(path, "wt") if kind.endswith(".gz") else path.open("w") as file:
        json.dump(ROWS, file, indent=1)
    with pytest.raises(DataError, match="ends in none of") as caught:
        read_rows(path)
    follow(caught)
    assert [row.values for row in read_rows(tmp_path / "a log.jsonl")] == ROWS


def test_a_spreadsheet_named_csv_is_known_as_one(tmp_path):
    (tmp_path / "log.csv").write_bytes(b"PK\x03\x04\x14\x00")
    with pytest.raises(DataError, match="is a zip archive, as spreadsheets are, not text") as caught:
        list(read_rows(tmp_path / "log.csv"))
    assert "CSV in UTF-8" in caught.value.hint


def test_a_file_without_permission_is_not_taken_for_one_cut_off(tmp_path):
    assert "ls -l" in mending.from_error(tmp_path / "log.csv.gz", PermissionError(13, "Permission denied"))
    assert "fetch" in mending.from_error(tmp_path / "log.csv.gz", EOFError())


@pytest.mark.parametrize("kind", [".csv", ".csv.gz"])
def test_the_command_in_the_hint_makes_a_file_that_can_be_read(kind, tmp_path):
    path = tmp_path / f"it's mine{kind}"
    with gzip.open(path, "wb") if kind.endswith(".gz") else path.open("wb") as file:
        file.write("user_id\ncafé\n".encode("windows-1252"))
    with pytest.raises(DataError, match="not UTF-8: byte 0xe9") as caught:
        list(read_rows(path))
    follow(caught)
    assert [row.values for row in read_rows(tmp_path / f"utf8-it's mine{kind}")] == [{"user_id": "café"}]


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
        (b'{"user_id": "ada", "user_id": "bob"}', "a key stands twice"),
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


@pytest.mark.parametrize(
    "header", [b"user_id,user_id\n", b'"user_id"x\n', b"caf\xe9\n", b"user_id;time\n", b"user_id\ttime\n"]
)
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


FAR = 10**18  # microseconds: the year 33658
MAY = datetime(2024, 5, 1)


def parquet_of(path, **columns):
    arrays = {name: pyarrow.array(values, kind) for name, (values, kind) in columns.items()}
    parquet.write_table(pyarrow.table(arrays), path)
    return path


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_a_parquet_time_beyond_the_year_9999_is_an_error_of_its_row_alone(unit, tmp_path):
    far = FAR // {"ms": 1000, "us": 1}[unit]
    path = parquet_of(tmp_path / "log.parquet", time=([MAY, far, None], pyarrow.timestamp(unit)))
    rows = list(read_rows(path))
    assert [row.values["time"] for row in rows[::2]] == [MAY, None]
    with pytest.raises(DataError, match=rf"log\.parquet:2: column 'time' cannot be read: {far} {unit} .* year 33658"):
        rows[1].text("time")


def test_parquet_bytes_that_are_no_utf_8_are_an_error_of_their_row_alone(tmp_path):
    table = pyarrow.table({"text": pyarrow.array([b"good", b"caf\xe9"], pyarrow.binary()).view(pyarrow.string())})
    parquet.write_table(table, tmp_path / "log.parquet")
    good, bad = read_rows(tmp_path / "log.parquet")
    assert good.text("text") == "good"
    with pytest.raises(DataError, match=r":2: column 'text' cannot be read: its text is not UTF-8: byte 0xe9"):
        bad.text("text")


def test_parquet_days_beyond_python_s_are_an_error_of_their_row_alone(tmp_path):
    path = parquet_of(tmp_path / "log.parquet", time=([0, 2**31 - 1], pyarrow.date32()))
    good, bad = read_rows(path)
    assert good.values["time"] == date(1970, 1, 1)
    with pytest.raises(DataError, match="no Python value holds its date32"):
        bad.text("time")


def test_parquet_times_are_plain_to_the_microsecond_whatever_their_unit_and_zone(tmp_path):
    zoned = pyarrow.timestamp("s", "Nowhere/Unknown")
    path = parquet_of(tmp_path / "log.parquet", ns=([1714564800123456789], pyarrow.timestamp("ns")), far=([0], zoned))
    values = next(read_rows(path)).values
    assert type(values["ns"]) is datetime
    assert values == {"ns": datetime(2024, 5, 1, 12, 0, 0, 123456), "far": datetime(1970, 1, 1, tzinfo=UTC)}


def test_old_parquet_times_after_2262_do_not_wrap_around(tmp_path):
    table = pyarrow.table({"time": pyarrow.array([datetime(3000, 1, 1)], pyarrow.timestamp("us"))})
    parquet.write_table(table, tmp_path / "log.parquet", use_deprecated_int96_timestamps=True)
    assert next(read_rows(tmp_path / "log.parquet")).values["time"] == datetime(3000, 1, 1)


def test_two_parquet_columns_of_one_name_are_an_error_of_the_whole_file(tmp_path):
    table = pyarrow.table([pyarrow.array(["ada"]), pyarrow.array(["bob"])], names=["user_id", "user_id"])
    parquet.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(DataError, match="a column stands twice in it: user_id, user_id"):
        collect(tmp_path / "log.parquet")


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
