"""Copies of a user's words outside of the store are found in every form that files of ours write them in."""

import csv
import gzip
import html
import json
import os

import pytest

from personaplug.store.base import text_hash
from personaplug.store.copies import Copy, Search, remove_own
from personaplug.store.persona_store import PersonaStore
from tests.store.fakes import LAYOUT, stack
from tests.store.traces import history

TEXT = 'Ada said "no" & left: où ça ? 雨の日, and more of it, so that it is cut somewhere in its middle by most readers'
SEARCH = Search("ada-lovelace", ["positive", TEXT, " short "], ["0123abcd"])


def found(place, search=SEARCH):
    return list(search.below(place))


def as_csv(path):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(["ada-lovelace", TEXT])


def as_store(path):
    with PersonaStore.open(path, layout=LAYOUT) as store:
        for user in ("ada-lovelace", "bob"):
            store.append(user, history(user), stack(history(user)))


WRITERS = {
    "json": lambda path: path.write_text(json.dumps({"user": "ada-lovelace", "text": TEXT}), encoding="utf-8"),
    "plain json": lambda path: path.write_text(
        json.dumps(["ada-lovelace", TEXT], ensure_ascii=False), encoding="utf-8"
    ),
    "csv": as_csv,
    "html": lambda path: path.write_text(f"<p id=ada-lovelace>{html.escape(TEXT)}</p>", encoding="utf-8"),
    "markdown": lambda path: path.write_text(f"| ada-lovelace | {TEXT[:90]} |", encoding="utf-8"),
    "gzip": lambda path: path.with_suffix(".gz").write_bytes(gzip.compress(f"ada-lovelace\t{TEXT}".encode())),
    "beyond the first chunk": lambda path: path.write_text(
        "x" * (2**24 - 7) + f'"ada-lovelace" {TEXT}', encoding="utf-8"
    ),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_id_and_text_are_found_however_they_are_written(tmp_path, write):
    write(tmp_path / "file")
    (copy,) = found(tmp_path)
    assert (copy.has_id, copy.texts) == (True, 1)


def test_a_user_is_found_in_another_store_and_its_snapshot(tmp_path):
    as_store(tmp_path / "other.db")
    with PersonaStore.open(tmp_path / "other.db") as store:
        store.snapshot(tmp_path / "bank")
    copies = {copy.path.name: copy for copy in found(tmp_path)}
    assert set(copies) == {"other.db", "users.bin"}
    assert text_hash("ada-lovelace") in (tmp_path / "bank" / "users.bin").read_bytes()


def test_what_is_not_the_users_is_not_named(tmp_path):
    (tmp_path / "file").write_text('"ada-lovelace-2" "xada-lovelace" positive short Ada said "no"')
    assert found(tmp_path) == []
    assert found(tmp_path, Search("", [TEXT], [])) == []


@pytest.mark.parametrize("name", ["0123abcd", ".0123abcd.77"])
def test_a_folder_of_the_user_alone_is_named_whole_and_can_be_removed(tmp_path, name):
    (tmp_path / "adapters" / name).mkdir(parents=True)
    (tmp_path / "adapters" / name / "record.json").write_text('"ada-lovelace"')
    (tmp_path / "adapters" / "0123abcde").mkdir()
    assert found(tmp_path) == [Copy(tmp_path / "adapters" / name, is_own=True)]
    remove_own(tmp_path / "adapters" / name)
    assert [path.name for path in (tmp_path / "adapters").iterdir()] == ["0123abcde"]


def test_what_cannot_be_looked_into_is_said(tmp_path):
    (tmp_path / "log.parquet").touch()
    (tmp_path / "log.jsonl.gz").write_bytes(b"no gzip")
    os.mkfifo(tmp_path / "pipe")
    assert found(tmp_path) == [Copy(tmp_path / name, is_closed=True) for name in ("log.jsonl.gz", "log.parquet")]
