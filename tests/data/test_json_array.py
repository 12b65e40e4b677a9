"""A JSON list of any size, one object at a time."""

import gzip
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.data import json_array
from personaplug.data.json_array import read_array
from personaplug.errors import DataError

VALUES = st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda v: st.lists(v, max_size=3), max_leaves=5)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=3), max_size=6)


@settings(max_examples=50)
@given(OBJECTS, st.sampled_from([None, 1]), st.booleans(), st.integers(1, 9))
def test_any_list_of_objects_is_read_whatever_the_pieces(tmp_path_factory, objects, indent, ascii_only, chunk):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(json.dumps(objects, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK", chunk)
        assert [row.values for row in read_array(path)] == json.loads(path.read_bytes())


@settings(max_examples=50)
@given(OBJECTS, st.dictionaries(st.text(max_size=4), VALUES, max_size=3), st.integers(0, 3), st.integers(1, 9))
def test_a_list_inside_an_object_is_read_and_the_other_members_told(tmp_path_factory, objects, others, place, chunk):
    others.pop("golds", None)
    members = list(others.items())
    whole = dict([*members[:place], ("golds", objects), *members[place:]])
    path = tmp_path_factory.getbasetemp() / "framed.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    told = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK", chunk)
        assert [row.values for row in read_array(path, inside="golds", on_member=told.__setitem__)] == objects
    assert told == others


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"task": 1}', "an object without a list 'golds'"),
        ('{"golds": 1}', "not a JSON list"),
        ("{}", "no name and colon"),
        ('{"task" 1}', "no name and colon"),
        ('{"golds": []', "ends before its list does"),
        ('{"golds": [] "task": 1}', "neither a comma nor the object's end"),
    ],
)
def test_an_object_without_the_list_or_broken_around_it_is_an_error(content, message, tmp_path):
    (tmp_path / "framed.json").write_text(content)
    with pytest.raises(DataError, match=message):
        list(read_array(tmp_path / "framed.json", inside="golds"))


def test_each_object_knows_its_line(tmp_path):
    (tmp_path / "list.json").write_text('[\n\n{"a":\n1}, {"b": 2},\n{"c": 3}\n]\n')
    assert [row.line for row in read_array(tmp_path / "list.json")] == [3, 4, 5]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", 1, "ends before its list does"),
        (b"\n \n", 3, "ends before its list does"),
        (b'[{"a": 1}', 1, "ends before its list does"),
        (b'[{"a": 1},\n', 2, "ends before its list does"),
        (b'{"a": 1}', 1, "not a JSON list"),
        (b'[{"a": 1}\n{"a": 2}]', 2, "neither a comma nor the list's end"),
        (b'[{"a": 1},\n{"a": }]', 2, "the element that begins here is broken: Expecting value"),
        (b'[{"a": 1},\n{"a": "cut', 2, "the element that begins here is broken"),
        (b'[{"a": 1},\n' + b"[" * 100_000, 2, "the element that begins here is broken"),
        (b'[{"a": 1},\n3]', 2, "is not a JSON object"),
        (b'[{"a": 1},\n{"a": "caf\xe9"}]', 2, "not UTF-8: byte 0xe9"),
    ],
)
def test_a_broken_list_is_an_error_that_names_the_line(content, line, message, tmp_path):
    (tmp_path / "list.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"list\.json:{line}: .*{message}"):
        list(read_array(tmp_path / "list.json"))


def test_an_object_without_end_is_an_error_long_before_the_end_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(json_array, "LONGEST_LINE", 10_000)
    monkeypatch.setattr(json_array, "CHUNK", 1000)
    (tmp_path / "list.json").write_text('[{"a": "' + "x" * 10_000_000)
    tracemalloc.start()
    with pytest.raises(DataError, match="the element that begins here is broken"):
        list(read_array(tmp_path / "list.json"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_list_is_read_as_a_stream(tmp_path):
    path = tmp_path / "list.json.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(json.dumps([{"text": "word " * 4000}] * 500))
    tracemalloc.start()
    assert sum(1 for _ in read_array(path)) == 500
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000 < 500 * 20_000
