"""Files that are no stores, may not be written, or lie on a full disk: one clear error, and nothing is lost."""

import sqlite3
import subprocess
import sys

import pytest

from personaplug.errors import StoreError
from personaplug.store.sqlite import PersonaStore
from tests.factories import make_item, make_items
from tests.store.fakes import LAYOUT, stack

ITEMS = make_items("one", "two", "three")


def make_other_database(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()


NOT_STORES = {
    "a text": lambda path: path.write_text("user_id,time\n" * 100),
    "another database": make_other_database,
    "empty": lambda path: path.touch(),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("make", NOT_STORES.values(), ids=NOT_STORES.keys())
@pytest.mark.parametrize("layout", [None, LAYOUT])
def test_a_path_that_is_no_store_is_named_and_left_alone(path, make, layout):
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=f"{path}: .*(not a persona store|cannot be opened)") as caught:
        PersonaStore.open(path, layout=layout)
    assert caught.value.hint
    assert before is None or path.read_bytes() == before


def test_a_store_that_is_not_there_is_not_made_by_reading(path):
    with pytest.raises(StoreError, match="no such store") as caught:
        PersonaStore.open(path)
    assert "personaplug index" in caught.value.hint
    assert not path.exists()


def test_a_store_is_made_with_the_folders_that_lead_to_it(tmp_path):
    with PersonaStore.open(tmp_path / "a" / "b" / "personas.db", layout=LAYOUT) as store:
        assert store.count() == 0


def test_another_schema_version_is_refused_with_both_numbers(store, path):
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="version 99; this personaplug reads versions 1 and 2") as caught:
        PersonaStore.open(path)
    assert "personaplug index" in caught.value.hint


def test_a_damaged_file_is_our_error(store, path):
    items = [make_item(day, "x" * 20_000) for day in range(40)]
    store.append("ada", items, stack(items))
    store.close()
    content = bytearray(path.read_bytes())
    content[100_000:] = b"\xff" * (len(content) - 100_000)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"), PersonaStore.open(path) as broken:
        broken.get("ada")


def test_a_full_database_stores_nothing_of_the_batch_and_keeps_the_rest(store):
    store.append("ada", ITEMS, stack(ITEMS))
    ((pages,),) = store._file.rows("PRAGMA page_count")
    store._file.rows(f"PRAGMA max_page_count = {pages + 2}")
    big = [make_item(day, "x" * 50_000) for day in range(9)]
    with pytest.raises(StoreError, match="disk is full"), store.together():  # noqa: PT012
        store.append("bob", ITEMS, stack(ITEMS))
        store.append("bob", big, stack(big))
    assert list(store.users()) == ["ada"]
    assert store.get("ada").items == ITEMS


FILL_UNTIL_THE_LIMIT = """
import resource, sys
from personaplug.errors import StoreError
from personaplug.store.sqlite import PersonaStore
from tests.factories import make_item
from tests.store.fakes import stack
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
with PersonaStore.open(sys.argv[1]) as store:
    for day in range(1000):
        item = make_item(day, "x" * 10_000)
        try:
            store.append("bob", [item], stack([item]))
        except StoreError as error:
            sys.exit(f"{day} {error}")
"""


def test_a_disk_that_takes_no_more_is_our_error_and_what_was_stored_stays(store, path):
    store.append("ada", ITEMS, stack(ITEMS))
    done = subprocess.run(
        [sys.executable, "-c", FILL_UNTIL_THE_LIMIT, path], capture_output=True, text=True, check=False
    )
    days, _, message = done.stderr.partition(" ")
    assert "this change was not stored" in message
    assert store.get("ada").items == ITEMS
    assert [item.id for item in store.get("bob").items] == sorted(map(str, range(int(days))), key=int)
    assert store._file.rows("PRAGMA integrity_check") == [("ok",)]


AS_A_READER = """
import os, sys
from personaplug.errors import StoreError
from personaplug.store.sqlite import PersonaStore
from tests.factories import make_items
from tests.store.fakes import stack
if os.geteuid() == 0:
    os.setuid(65534)
def tell(action):
    try:
        print(action())
    except StoreError as error:
        print(error)
with PersonaStore.open(sys.argv[1]) as store:
    tell(lambda: store.vectors(store.get("ada")).shape)
    tell(lambda: store.append("bob", make_items("x"), stack(make_items("x"))))
    tell(lambda: store.forget("ada"))
"""


@pytest.fixture
def read_only(store, path):
    store.append("ada", ITEMS, stack(ITEMS))
    store.close()
    path.chmod(0o444)
    for folder in path.parents:
        if not folder.stat().st_mode & 0o055:  # pytest's own folders are its user's alone
            folder.chmod(0o755)
    return path


def as_a_reader(path):
    return subprocess.run([sys.executable, "-c", AS_A_READER, path], capture_output=True, text=True, check=False)


def test_a_file_that_may_only_be_read_can_be_read_and_refuses_writers(read_only):
    read_only.parent.chmod(0o777)  # SQLite keeps the readers' shared memory beside the file
    read, *refused = as_a_reader(read_only).stdout.splitlines()
    assert read == "(3, 2, 8)"
    assert refused == [f"{read_only}: the store may only be read"] * 2


def test_a_file_in_a_folder_that_may_only_be_read_is_our_error(read_only):
    done = as_a_reader(read_only)
    assert f"StoreError: {read_only}: the store may only be read" in done.stderr
