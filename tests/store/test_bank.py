import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from personaplug.errors import StoreError
from personaplug.records import Profile
from personaplug.store.bank import Bank, item_keys
from personaplug.store.persona_store import PersonaStore
from tests.factories import make_item, make_items
from tests.store.fakes import LAYOUT, stack

ITEMS = make_items("a text nobody may see", "two", "three")


@pytest.fixture
def filled(store):
    for user in range(30):
        store.append(f"user-{user}", ITEMS[: 1 + user % 3], stack(ITEMS[: 1 + user % 3]))
    return store


@pytest.fixture
def bank(filled, tmp_path):
    return filled.snapshot(tmp_path / "bank")


def test_a_bank_opened_anew_is_the_one_that_was_written(bank, filled):
    again = Bank.open(bank.folder)
    assert again.manifest == bank.manifest
    assert (again.manifest.users, again.manifest.items) == (30, filled.count())
    for user in filled.users():
        profile = filled.get(user)
        assert np.array_equal(again.vectors(profile), filled.vectors(profile))


def test_a_bank_holds_no_text_and_no_id(bank):
    content = b"".join(path.read_bytes() for path in bank.folder.iterdir())
    assert b"nobody" not in content
    assert b"user-" not in content


def test_a_bank_is_current_until_its_store_changes(bank, filled):
    assert bank.is_current(filled)
    filled.append("user-0", ITEMS[:1], stack(ITEMS[:1]))
    assert bank.is_current(filled)
    filled.append("user-0", [make_item(9)], stack([make_item(9)]))
    assert not bank.is_current(filled)
    assert filled.snapshot(bank.folder).is_current(filled)


def test_a_bank_of_another_store_is_not_current_though_the_versions_agree(bank, tmp_path):
    with PersonaStore.open(tmp_path / "other.db", layout=LAYOUT) as other:
        other.append("ada", [make_item(1)], stack([make_item(1)]))
        other._tables.rows("UPDATE meta SET value = ? WHERE key = 'version'", bank.manifest.version)
        assert other.version == bank.manifest.version
        assert not bank.is_current(other)


def test_a_bank_is_not_current_for_a_copy_of_its_store_that_went_on_by_itself(filled, path, tmp_path):
    with sqlite3.connect(path) as from_, sqlite3.connect(tmp_path / "copy.db") as to:
        from_.backup(to)
    filled.append("user-0", [make_item(8)], stack([make_item(8)]))
    bank = filled.snapshot(tmp_path / "later.bank")
    with PersonaStore.open(tmp_path / "copy.db") as restored:
        restored.append("user-0", [make_item(9)], stack([make_item(9)]))
        assert restored.identity == filled.identity
        assert not bank.is_current(restored)


def test_an_open_bank_can_be_read_while_a_new_one_takes_its_place(bank, filled):
    filled.append("user-0", [make_item(9)], stack([make_item(9)]))
    filled.snapshot(bank.folder)
    assert np.array_equal(bank.vectors(Profile("user-2", ITEMS)), stack(ITEMS).astype(np.float16))


@pytest.mark.usefixtures("filled")
def test_many_may_make_one_snapshot_at_once(path, tmp_path):
    """As the processes of a training on several devices do, or two trainings that begin together."""

    def read_a_snapshot_of_ones_own(user):
        with PersonaStore.open(path) as store:
            return store.snapshot(tmp_path / "bank").vectors(store.get(user))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read_a_snapshot_of_ones_own, ["user-2"] * 24))
    assert all(np.array_equal(vectors, stack(ITEMS).astype(np.float16)) for vectors in found)


def test_the_bank_of_an_empty_store_is_empty(store, tmp_path):
    bank = store.snapshot(tmp_path / "bank")
    assert (bank.manifest.users, bank.manifest.items) == (0, 0)
    with pytest.raises(StoreError):
        bank.vectors(Profile("ada", ITEMS))


def test_a_folder_that_holds_something_else_is_left_alone(store, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(StoreError, match="something other than a snapshot"):
        store.snapshot(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_snapshot_leaves_no_draft(bank):
    assert {path.name for path in bank.folder.parent.iterdir() if path.is_dir()} == {"bank"}
    assert {path.name for path in bank.folder.iterdir()} == {
        "manifest.json",
        "users.bin",
        "starts.u64",
        "items.u64",
        "vectors.f16",
    }


def test_a_folder_without_a_bank_is_our_error(tmp_path):
    with pytest.raises(StoreError, match="there is no snapshot") as caught:
        Bank.open(tmp_path)
    assert "snapshot" in caught.value.hint


@pytest.mark.parametrize("name", ["users.bin", "starts.u64", "items.u64", "vectors.f16"])
def test_a_file_that_is_cut_short_is_our_error(bank, name):
    path = bank.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=name):
        Bank.open(bank.folder)


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"format": 1}', '{"format": 99}'])
def test_a_manifest_that_does_not_fit_is_our_error(bank, manifest):
    (bank.folder / "manifest.json").write_text(manifest)
    with pytest.raises(StoreError, match=r"manifest|format 99"):
        Bank.open(bank.folder)


def test_the_manifest_names_the_layout(bank):
    manifest = json.loads((bank.folder / "manifest.json").read_text())
    assert manifest["layout"] == {"fingerprint": "fake@1", "views": list(LAYOUT.views), "dim": 8}


def test_item_keys_are_those_of_blake2():
    # printf 'ada' | b2sum -l 64
    assert item_keys(["ada"]).tobytes().hex() == "15b0da4321160527"
