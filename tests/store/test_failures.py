"""Files that are no stores, may not be written, or lie on a full disk: one clear error, and nothing is lost."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.errors import StoreError
from personaplug.store import database
from personaplug.store.base import text_hash
from personaplug.store.persona_store import PersonaStore
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


def test_what_a_newer_version_has_brought_up_to_date_meanwhile_is_not_written_to(store, path):
    store.append("ada", ITEMS, stack(ITEMS))
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    for change in (lambda: store.append("bob", ITEMS, stack(ITEMS)), lambda: store.forget("ada")):
        with pytest.raises(StoreError, match="version 99") as caught:
            change()
        assert "install the personaplug that wrote it" in caught.value.hint
    assert store.count() == len(ITEMS)


def test_a_damaged_file_is_our_error(store, path):
    items = [make_item(day, "x" * 20_000) for day in range(40)]
    store.append("ada", items, stack(items))
    store.close()
    content = bytearray(path.read_bytes())
    content[100_000:] = b"\xff" * (len(content) - 100_000)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"), PersonaStore.open(path) as broken:
        broken.get("ada")


def every_verb(path, folder):
    """Open a store and do everything with it, however much of that fails; give the errors' hints."""
    with PersonaStore.open(path) as store:
        for verb in (
            lambda: (store.count(), store.version, store.identity),
            lambda: list(store.users()),
            lambda: store.summary("bob"),
            lambda: store.vectors(store.get("ada")),
            lambda: store.missing("ada", ITEMS),
            lambda: store.known([text_hash("one")]),
            lambda: store.append("ada", [make_item(9)], stack([make_item(9)])),
            lambda: store.snapshot(folder).vectors(store.get("bob")),
            lambda: store.forget("ada"),
        ):
            try:
                verb()
            except StoreError as error:
                yield error


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a store of three users."""
    path = tmp_path_factory.mktemp("whole") / "personas.db"
    with PersonaStore.open(path, layout=LAYOUT) as store:
        for user in ("ada", "bob", "cyd"):
            store.append(user, ITEMS, stack(ITEMS))
    return path.read_bytes()


@given(draw=st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_whatever_bits_are_flipped_or_bytes_cut_off_there_is_no_error_but_ours(draw, whole):
    content = bytearray(whole)
    used = [place for place, byte in enumerate(content) if byte]
    for place in draw.sample(used, draw.choice([1, 1, 8, 40])):
        content[place] ^= 1 << draw.randrange(8)
    with TemporaryDirectory() as folder:
        path = Path(folder, "personas.db")
        path.write_bytes(content[: draw.choice([len(content), draw.randrange(len(content))])])
        try:
            found = list(every_verb(path, path.with_name("bank")))
        except StoreError as error:
            found = [error]
    assert all(str(path) in str(error) or "of shape" in str(error) for error in found)


DAMAGE = [
    *(f"DELETE FROM meta WHERE key = '{key}'" for key in ("fingerprint", "views", "dim", "identity", "version")),
    *(f"UPDATE meta SET value = x'ff00' WHERE key = '{key}'" for key in ("fingerprint", "views", "dim", "version")),
    *(f"UPDATE meta SET value = {value} WHERE key = 'views'" for value in ("'[]'", "7", "'[1]'", "'{'")),
    *(f"UPDATE meta SET value = {value} WHERE key = 'dim'" for value in ("'x'", "-1", "7", "9223372036854775807")),
    *(f"DROP TABLE {name}" for name in ("meta", "users", "items")),
    *(f"UPDATE items SET vectors = {value}" for value in ("x'ff00'", "'a'", "zeroblob(2)", "x'007c' || vectors")),
    *(f"UPDATE items SET time = {value}" for value in ("time + 9000000000000000000", "'abc' || id", "x'ff' || id")),
    *(f"UPDATE items SET {name} = x'ff'" for name in ("input", "output")),
    "UPDATE items SET input = cast(x'fffe' AS TEXT)",
    "UPDATE users SET user_id = x'ff' || user_id",
    "UPDATE users SET user_id = cast(x'fffe' AS TEXT) || user_id WHERE user_id = 'cyd'",
    "INSERT INTO snapshots VALUES (cast(x'fffe' AS TEXT))",
    "INSERT INTO snapshots VALUES ('/')",
    "DELETE FROM items",
]


@pytest.mark.parametrize("statement", DAMAGE)
def test_tables_with_what_no_store_holds_are_damage_with_a_way_out_and_without_a_text(path, whole, statement):
    path.write_bytes(whole)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()
    try:
        found = list(every_verb(path, path.with_name("bank")))
    except StoreError as error:
        found = [error]
    damaged = [error for error in found if "the store file is damaged" in str(error)]
    assert damaged
    assert {error.hint for error in damaged} == {database.RESTORE}


def test_a_full_database_stores_nothing_of_the_batch_and_keeps_the_rest(store):
    store.append("ada", ITEMS, stack(ITEMS))
    ((pages,),) = store._tables.rows("PRAGMA page_count")
    store._tables.rows(f"PRAGMA max_page_count = {pages + 2}")
    big = [make_item(day, "x" * 50_000) for day in range(9)]
    with pytest.raises(StoreError, match="disk is full"), store.together():  # noqa: PT012
        store.append("bob", ITEMS, stack(ITEMS))
        store.append("bob", big, stack(big))
    assert list(store.users()) == ["ada"]
    assert store.get("ada").items == ITEMS


FILL_UNTIL_THE_LIMIT = """
import resource, sys
from personaplug.errors import StoreError
from personaplug.store.persona_store import PersonaStore
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
    assert store._tables.rows("PRAGMA integrity_check") == [("ok",)]


AS_A_READER = """
import ctypes, os, sys
from personaplug.errors import StoreError
from personaplug.store.persona_store import PersonaStore
from tests.factories import make_items
from tests.store.fakes import stack
if os.geteuid() == 0:  # give up root's right to pass over permissions, and stay who owns checkout and file
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")
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
    return path


def as_a_reader(path):
    return subprocess.run([sys.executable, "-c", AS_A_READER, path], capture_output=True, text=True, check=False)


def test_a_file_that_may_only_be_read_can_be_read_and_refuses_writers(read_only):
    done = as_a_reader(read_only)
    assert done.stdout.splitlines() == ["(3, 2, 8)", *[f"{read_only}: the store may only be read"] * 2], done.stderr


def test_a_file_in_a_folder_that_may_only_be_read_is_our_error(read_only):
    read_only.parent.chmod(0o555)
    done = as_a_reader(read_only)
    read_only.parent.chmod(0o755)
    assert f"StoreError: {read_only}: the store may only be read" in done.stderr
