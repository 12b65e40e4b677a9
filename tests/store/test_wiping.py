"""After a forget no byte of the user is in any file; what is searched here is the raw files."""

import random
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from personaplug.errors import StoreError, UnknownUserError
from personaplug.store import database
from personaplug.store.bank import Bank, item_keys
from personaplug.store.base import StoreLayout, text_hash
from personaplug.store.sqlite import PersonaStore
from tests.factories import START, make_item
from tests.store.fakes import LAYOUT, stack

WIDE = StoreLayout("wide@1", ("{input}",), dim=128)
RANDOM = np.random.default_rng(0)


def all_bytes(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def traces(user, items, layout=LAYOUT):
    """All that a store or snapshot keeps of a user, as bytes, long texts and vectors in pieces."""
    texts = [user, *(text for item in items for text in (item.id, item.input, item.output))]
    whole = [text.encode() for text in texts] + [text_hash(user), item_keys(item.id for item in items).tobytes()]
    whole += [text_hash(text) for item in items for text in layout.texts(item)]
    whole += [vector.tobytes() for vector in stack(items, layout).astype(np.float16).reshape(-1, layout.dim)]
    return [each[start : start + 64] for each in whole for start in range(0, len(each), 64) if len(each) - start > 7]


def history(user, count=8):
    return [
        replace(
            make_item(day, f"what {user} read on {day}, " * (1 + 30 * day), f"what {user} said"), id=f"{user}-{day}"
        )
        for day in range(count)
    ]


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


KILLED_BEFORE_WIPING = """
import os, signal, sys
from personaplug.store import sqlite
sqlite.wipe_remains = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
sqlite.PersonaStore.open(sys.argv[1]).forget("bob-marley")
"""


def test_a_forget_that_was_killed_is_finished_by_the_next_of_whatever_user(filled, path, tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED_BEFORE_WIPING, path], check=False)
    assert done.returncode == -signal.SIGKILL
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
