"""After a forget no byte of the user is in any file; what is searched here is the raw files."""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from personaplug.errors import StoreError, UnknownUserError
from personaplug.store import database
from personaplug.store.bank import Bank
from personaplug.store.base import StoreLayout, text_hash
from personaplug.store.persona_store import PersonaStore
from personaplug.store.snapshots import beside
from tests.factories import START, make_item
from tests.store.fakes import LAYOUT, stack
from tests.store.killed_forget import killed_before_wiping
from tests.store.killing import WORKS
from tests.store.traces import all_bytes, history, traces

WIDE = StoreLayout("wide@1", ("{input}",), dim=128)
RANDOM = np.random.default_rng(0)


@pytest.fixture
def filled(store):
    for user in ("ada-lovelace", "bob-marley", "ada-lovelace-2"):
        store.append(user, history(user), stack(history(user)))
    return store


def test_nothing_of_a_forgotten_user_is_in_any_file(filled, tmp_path):
    wanted = traces("bob-marley", history("bob-marley"))
    filled.snapshot(tmp_path / "banks" / "one")
    filled.snapshot(tmp_path / "two")
    before = all_bytes(tmp_path)
    assert all(trace in before for trace in wanted)
    assert filled.forget("bob-marley") == 8
    after = all_bytes(tmp_path)
    assert not [trace for trace in wanted if trace in after]


def test_a_text_that_another_user_shares_stays_theirs(store, tmp_path):
    shared = make_item(0, "a text that both of them read", "and its answer")
    for user in ("ada-lovelace", "bob-marley"):
        store.append(user, [shared], stack([shared]))
    store.forget("ada-lovelace")
    assert b"ada-lovelace" not in all_bytes(tmp_path)
    assert store.get("bob-marley").items == (shared,)
    assert np.array_equal(store.vectors(store.get("bob-marley")), stack([shared]).astype(np.float16))
    assert store.known([text_hash(shared.input)])


def test_rows_that_moved_between_pages_leave_nothing_either(tmp_path):
    """Rows of all sizes in random order make SQLite split pages; secure_delete alone leaves remains of some users."""
    draw = random.Random(0)
    vectors = {}
    with PersonaStore.open(tmp_path / "personas.db", layout=WIDE) as store:
        for user, day in draw.sample([(f"user-{u:03}", day) for u in range(40) for day in range(30)], 1200):
            item = replace(make_item(day, f"{user} read {day}" + "x" * draw.randrange(3000)), id=f"{user}/{day}")
            vector = RANDOM.standard_normal((1, 1, WIDE.dim)).astype(np.float32)
            vectors.setdefault(user, []).append(vector.astype(np.float16).tobytes())
            store.append(user, [item], vector)
        gone = sorted(draw.sample(sorted(vectors), 12))
        for user in gone[:4]:
            store.forget(user)
        store.forget(*gone[4:])
        content = all_bytes(tmp_path)
        assert not [user for user in gone if user.encode() in content]
        assert not [1 for user in gone for vector in vectors[user] if vector[64:128] in content]
        assert store.count() == 28 * 30


def test_a_users_replaced_items_are_gone_too(store, tmp_path):
    store.append("ada", [make_item(0, "what ada said at first")], stack([make_item(0, "what ada said at first")]))
    store.append("ada", [make_item(0, "second thoughts")], stack([make_item(0, "second thoughts")]))
    store.forget("ada")
    assert b"what ada said at first" not in all_bytes(tmp_path)


def test_all_or_none_of_the_users_are_forgotten(filled):
    with pytest.raises(UnknownUserError, match="nobody"):
        filled.forget("ada-lovelace", "nobody")
    assert len(list(filled.users())) == 3
    assert filled.forget("ada-lovelace", "ada-lovelace-2") == 16
    assert list(filled.users()) == ["bob-marley"]


def test_a_user_named_twice_is_forgotten_once(filled):
    assert filled.forget("bob-marley", "bob-marley") == 8
    assert "bob-marley" not in filled.users()


def test_a_forget_deletes_the_stores_own_snapshots_and_no_others(filled, tmp_path):
    ours, moved = tmp_path / "ours", tmp_path / "moved"
    filled.snapshot(ours)
    with PersonaStore.open(tmp_path / "other.db", layout=LAYOUT) as other:
        filled.snapshot(moved)
        other.snapshot(moved)
    filled.forget("bob-marley")
    assert not ours.exists()
    assert Bank.open(moved).manifest.users == 0


def test_a_snapshot_that_was_killed_while_written_is_forgotten(filled, tmp_path):
    filled.snapshot(tmp_path / "bank")
    (tmp_path / "bank").rename(tmp_path / ".bank.draft")
    filled.forget("bob-marley")
    assert not (tmp_path / ".bank.draft").exists()


def test_a_reader_in_the_way_is_our_error_and_the_next_forget_finishes(filled, path, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM items").fetchone()
    with PersonaStore.open(path) as hasty:
        with pytest.raises(StoreError, match="rows are deleted, but remains") as caught:
            hasty.forget("bob-marley")
        assert "repeat" in caught.value.hint
        assert b"bob-marley" in all_bytes(tmp_path)
        reader.close()
        assert hasty.forget("bob-marley") == 0
    assert b"bob-marley" not in all_bytes(tmp_path)
    with pytest.raises(UnknownUserError):
        filled.forget("bob-marley")


def test_a_forget_that_was_killed_is_finished_by_the_next_of_whatever_user(filled, path, tmp_path):
    assert killed_before_wiping(path) == -signal.SIGKILL
    assert b"bob-marley" in all_bytes(tmp_path)
    assert filled.forget("ada-lovelace-2") == 8
    assert b"bob-marley" not in all_bytes(tmp_path)
    assert list(filled.users()) == ["ada-lovelace"]


def test_forgetting_does_not_disturb_another_open_store(filled, path):
    with PersonaStore.open(path) as other:
        assert len(other.get("bob-marley").items) == 8
        filled.forget("bob-marley")
        assert list(other.users()) == ["ada-lovelace", "ada-lovelace-2"]
        late = replace(make_item(0, "late"), time=START + timedelta(days=400))
        assert other.append("ada-lovelace", [late], stack([late])) == 1
        assert filled.get("ada-lovelace").items[-1] == late


@pytest.mark.parametrize("work", WORKS)
def test_whatever_step_it_is_killed_at_a_repeated_forget_leaves_nothing_and_harms_nobody(work, tmp_path):
    killing = [sys.executable, "-m", "tests.store.killing", tmp_path / "root", work]
    (tmp_path / "root").mkdir()
    done = subprocess.run(killing, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


def forget_in(path, *users):
    with PersonaStore.open(path) as store:
        return store.forget(*users)


@pytest.fixture
def home(tmp_path):
    """A folder with a store, a snapshot beside it and one below, to be moved, copied or restored."""
    home = tmp_path / "home"
    with PersonaStore.open(home / "log.db", layout=LAYOUT) as store:
        store.append("bob-marley", history("bob-marley"), stack(history("bob-marley")))
        store.snapshot(beside(home / "log.db"))
        store.snapshot(home / "banks" / "one")
    return home


def left_of_bob(folder):
    return [trace for trace in traces("bob-marley", history("bob-marley")) if trace in all_bytes(folder)]


def test_the_snapshots_of_a_folder_that_was_moved_are_found(home, tmp_path):
    home.rename(tmp_path / "elsewhere")
    forget_in(tmp_path / "elsewhere" / "log.db", "bob-marley")
    assert not left_of_bob(tmp_path)


def test_a_snapshot_that_stayed_where_it_was_when_the_store_moved_is_found(home, tmp_path):
    (home / "log.db").rename(tmp_path / "other.db")
    forget_in(tmp_path / "other.db", "bob-marley")
    assert not left_of_bob(tmp_path)


def test_a_backup_of_before_the_snapshot_was_made_finds_it_beside_the_restored_file(home, tmp_path):
    with PersonaStore.open(home / "log.db") as store:
        store._tables.rows("DELETE FROM snapshots")
    shutil.rmtree(home / "banks")
    forget_in(home / "log.db", "bob-marley")
    assert not left_of_bob(tmp_path)


@pytest.mark.parametrize("holds_bob", [True, False])
def test_a_new_store_under_an_old_name_takes_what_lies_beside_it_with_it(home, tmp_path, holds_bob):
    (home / "log.db").unlink()
    shutil.rmtree(home / "banks")
    with PersonaStore.open(home / "log.db", layout=LAYOUT) as store:
        store.append("ada", history("ada"), stack(history("ada")))
        if holds_bob:
            store.append("bob-marley", history("bob-marley"), stack(history("bob-marley")))
            store.forget("bob-marley")
        else:
            with pytest.raises(UnknownUserError):
                store.forget("bob-marley")
    assert not left_of_bob(tmp_path)


def test_an_unknown_user_costs_no_snapshot_that_is_of_the_store_as_it_is(home):
    with pytest.raises(UnknownUserError):
        forget_in(home / "log.db", "nobody")
    assert Bank.open(home / "banks" / "one").manifest.users == 1


def test_a_snapshot_that_is_used_again_is_remembered_wherever_the_store_then_goes(home, tmp_path):
    with PersonaStore.open(home / "log.db") as store:
        store._tables.rows("DELETE FROM snapshots")
        store.remember(home / "banks" / "one")
    (home / "log.db").rename(tmp_path / "log.db")
    forget_in(tmp_path / "log.db", "bob-marley")
    assert not left_of_bob(home / "banks")


@pytest.mark.parametrize("manifest", [None, "", "[]", '{"format": 99}', '{"format": 1, "identity": 7}'])
def test_a_remembered_folder_is_deleted_whatever_is_left_of_its_manifest(home, manifest):
    path = home / "banks" / "one" / "manifest.json"
    path.unlink()
    if manifest is not None:
        path.write_text(manifest)
    forget_in(home / "log.db", "bob-marley")
    assert not (home / "banks" / "one").exists()


@pytest.mark.parametrize("folder", ["log.db.bank", "banks/one"])
def test_a_persons_own_files_in_a_snapshots_folder_stay_and_the_vectors_go(home, folder):
    (home / folder / "cat.jpg").touch()
    forget_in(home / "log.db", "bob-marley")
    assert {path.name for path in (home / folder).iterdir()} == {"cat.jpg", "manifest.json"}
    assert not left_of_bob(home)


def test_a_snapshot_that_cannot_be_deleted_leaves_the_forget_unfinished(home, monkeypatch):
    def fail(*_):
        raise OSError(16, "Device or resource busy")

    with monkeypatch.context() as patched, PersonaStore.open(home / "log.db") as store:
        patched.setattr(Path, "rename", fail)
        with pytest.raises(StoreError, match="remains of them could not be wiped out"):
            store.forget("bob-marley")
        assert store.has_remains
    assert forget_in(home / "log.db", "bob-marley") == 0
    assert not left_of_bob(home)


def test_a_snapshot_may_take_the_place_of_half_a_snapshot(home):
    (home / "log.db.bank" / "manifest.json").unlink()
    with PersonaStore.open(home / "log.db") as store:
        assert store.snapshot(home / "log.db.bank").is_current(store)


def test_a_folder_that_was_refused_is_not_remembered(store, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "manifest.json").write_text("{}")
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(StoreError, match="something other than a snapshot"):
        store.snapshot(tmp_path / "photos")
    store.append("ada", history("ada"), stack(history("ada")))
    store.forget("ada")
    assert len(list((tmp_path / "photos").iterdir())) == 2


def test_a_store_in_memory_deletes_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ":memory:.bank").mkdir()
    with PersonaStore.in_memory(LAYOUT) as store:
        store.append("ada", history("ada"), stack(history("ada")))
        store.forget("ada")
    assert (tmp_path / ":memory:.bank").is_dir()
