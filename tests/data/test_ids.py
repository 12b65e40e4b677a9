"""Ids that are surely one, and those that two people or things may share."""

import json
from unicodedata import normalize

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from personaplug.data.ids import read_id, read_user
from personaplug.data.rows import read_rows
from personaplug.errors import DataError


@pytest.fixture
def rows(tmp_path):
    """Write rows of user ids in a format, and read them."""

    def write(kind, *users):
        path = tmp_path / f"log{kind}"
        if kind == ".parquet":
            parquet.write_table(pyarrow.table({"user_id": users[0]}), path)
        elif kind == ".csv":
            path.write_text("\n".join(["user_id,x", *(f"{user}," for user in users)]))
        else:
            path.write_text("\n".join(json.dumps({"user_id": user}) for user in users))
        return list(read_rows(path))

    return write


def test_whole_floats_are_the_integers_that_they_were(rows):
    assert [read_user(row) for row in rows(".parquet", pyarrow.array([1.0, 2.0, -0.0, 2.0**53 - 1]))] == [
        *("1", "2", "0"),
        "9007199254740991",
    ]
    assert [read_user(row) for row in rows(".jsonl", 1, 1.0, 1e3, 10**22)] == ["1", "1", "1000", f"1{'0' * 22}"]


@pytest.mark.parametrize(
    ("user", "message"),
    [
        (2.0**53, r"the user_id 9007199254740992\.0 is a float above 2\*\*53"),
        (7.6561198e16, r"the user_id 7\.6561198e\+16 is a float above"),
        (1.5, r"the user_id 1\.5 has a fraction"),
        (True, "the user_id is true"),
        (float("nan"), "there is no user_id"),
        (float("inf"), "the float inf, not text"),
        ([1], "a list, not text"),
        ({"id": 1}, "an object, not text"),
        (None, "there is no user_id"),
        ("", "there is no user_id"),
        (" \u3000", "there is no user_id"),
        ("nan", "the user_id is 'nan'"),
        ("<NA>", "the user_id is '<NA>'"),
        ("7.6561198e+16", "a number that a program has shortened"),
        ("7.65612E+16", "a number that a program has shortened"),
        ("shop\x1fada", r"the control character U\+001F"),
        ("ada\n", r"the control character U\+000A"),
        ("ada\x85", r"the control character U\+0085"),
        ("u" * 513, "a user_id of 513 characters"),
    ],
)
def test_a_user_who_is_not_surely_one_is_refused_with_the_line(user, message, rows):
    with pytest.raises(DataError, match=rf"log\.jsonl:2: .*{message}") as caught:
        [read_user(row) for row in rows(".jsonl", "ada", user)]
    assert caught.value.hint


def test_a_number_with_a_point_is_refused_in_csv_where_nothing_tells_a_float_from_text(rows):
    with pytest.raises(DataError, match=r"log\.csv:2: the user_id '1\.0' is a number with a point"):
        read_user(rows(".csv", "1.0")[0])
    assert read_user(rows(".jsonl", "1.0")[0]) == "1.0"


@pytest.mark.parametrize("kind", [pyarrow.float32(), pyarrow.float16()])
def test_floats_that_cannot_tell_large_ids_apart_are_refused_with_the_file(kind, rows):
    with pytest.raises(DataError, match=r"column 'user_id' holds .*s, which cannot tell large ids apart"):
        rows(".parquet", pyarrow.array([1.0], pyarrow.float64()).cast(kind))


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8).map(lambda text: f"u{text}"))
def test_two_texts_are_two_users(tmp_path_factory, user):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    others = {user, f" {user}", user.upper(), normalize("NFC", user), normalize("NFD", user)}
    path.write_text("\n".join(json.dumps({"user_id": other}) for other in others))
    assert {read_user(row) for row in read_rows(path)} == others


def test_an_item_s_id_is_any_text_or_none(rows):
    texts = ["7", "nan", "1e+5", "a\nb"]
    assert [read_id(row, "user_id") for row in rows(".jsonl", *texts, "", None, float("nan"))] == [*texts] + [None] * 3
    assert [read_id(row, "id") for row in rows(".jsonl", "ada")] == [None]
