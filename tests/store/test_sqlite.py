"""What a store in a file of SQLite's does beside what every store does."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from personaplug.records import Profile
from personaplug.store.persona_store import PersonaStore
from tests.factories import make_item, make_items
from tests.store.fakes import LAYOUT, stack

ITEMS = make_items("one", "two", "three")


def append(store, user, *items):
    return store.append(user, items, stack(items))


TWINS = tuple(replace(make_item(1, f"twin {name}"), id=name) for name in ("710", "72", "9", "8"))


def as_of_the_first_version(store):
    """Make a store what the first version wrote: without places, so that items of one moment stand by their ids."""
    for statement in (
        "ALTER TABLE items DROP COLUMN place",
        "DELETE FROM meta WHERE key = 'placed'",
        "PRAGMA user_version = 1",
    ):
        store._tables.rows(statement)


def test_a_store_of_the_first_version_is_read_and_added_to_and_its_own_items_come_first(store, path, tmp_path):
    append(store, "ada", *TWINS[:3])
    as_of_the_first_version(store)
    former = tuple(sorted(TWINS[:3], key=lambda item: item.id))
    store.close()
    with PersonaStore.open(path) as opened, PersonaStore.open(path) as reader:
        assert opened.get("ada").items == reader.get("ada").items == former
        assert np.array_equal(opened.vectors(Profile("ada", former)), stack(former).astype(np.float16))
        assert append(opened, "ada", *TWINS) == 1
        assert opened.get("ada").items == reader.get("ada").items == (*former, TWINS[3])
        bank = opened.snapshot(tmp_path / "bank")
        assert np.array_equal(bank.vectors(opened.get("ada")), stack([*former, TWINS[3]]).astype(np.float16))


def test_threads_that_make_one_store_at_once_leave_one_file(path):
    def fill(user):
        with PersonaStore.open(path, layout=LAYOUT) as store:
            return append(store, f"user-{user % 4}", *ITEMS)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(fill, range(16))) == 4 * len(ITEMS)
    with PersonaStore.open(path) as store:
        assert store.count() == 4 * len(ITEMS)
    assert {each.name for each in path.parent.iterdir()} == {path.name}


def modes(folder):
    return {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}


def test_a_new_store_and_its_snapshots_are_their_owners_alone(path, tmp_path, caplog):
    with umask(0o022), PersonaStore.open(path, layout=LAYOUT) as store:
        append(store, "ada", ITEMS[0])
        store.snapshot(tmp_path / "bank")
        assert {"personas.db", "personas.db-wal", "personas.db-shm", "bank", "vectors.f16"} <= set(modes(tmp_path))
        assert {mode for name, mode in modes(tmp_path).items() if name != "bank"} == {0o600}
        assert modes(tmp_path)["bank"] == 0o700
    assert not caplog.records


def test_a_store_that_all_may_read_keeps_its_mode_and_says_so(store, path, caplog):
    store.close()
    path.chmod(0o644)
    PersonaStore.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o644
    assert f"chmod o= {path}" in caplog.text


@contextmanager
def umask(mask):
    before = os.umask(mask)
    yield
    os.umask(before)
