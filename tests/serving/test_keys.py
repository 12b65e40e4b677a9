import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from personaplug.errors import ConfigError
from personaplug.serving.api.keys import KeyFile


@pytest.fixture
def keys(tmp_path):
    return KeyFile(tmp_path / "folder" / "keys.json")


def test_a_key_is_found_by_all_of_it_and_by_nothing_else(keys):
    secret = keys.add("laptop", tenant="acme", rights=["read", "read", "generate"])
    found = keys.find(secret)
    assert (found.name, found.tenant, found.rights) == ("laptop", "acme", ("read", "generate"))
    for wrong in ("", "pp", secret[:-1], secret + "a", f"pp-{found.id}-", f"pp-{found.id}", found.hash, "\ud800"):
        assert keys.find(wrong) is None


def test_keys_of_one_name_are_two(keys):
    first, second = (keys.add("laptop", rights=["read"]) for _ in range(2))
    assert first != second
    keys.revoke(keys.find(first).id)
    assert keys.find(first) is None
    assert keys.find(second).name == "laptop"


def test_what_another_process_changes_is_seen_at_once(keys):
    other = KeyFile(keys.path)
    secrets = [other.add(str(number), rights=["read"]) for number in range(3)]
    assert all(keys.find(secret) for secret in secrets)
    other.revoke(other.find(secrets[1]).id)
    assert [bool(keys.find(secret)) for secret in secrets] == [True, False, True]
    keys.path.unlink()
    assert keys.find(secrets[0]) is None


def test_keys_made_and_revoked_at_once_are_all_made_and_revoked(keys):
    old = [keys.find(keys.add(str(number), rights=["read"])).id for number in range(8)]
    with ThreadPoolExecutor(16) as pool:
        pool.map(lambda key_id: KeyFile(keys.path).revoke(key_id), old)
        secrets = list(pool.map(lambda name: KeyFile(keys.path).add(str(name), rights=["read"]), range(8)))
    assert {key.id for key in keys.keys} == {keys.find(secret).id for secret in secrets}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_makes_belongs_to_whom_the_folder_does_and_stays_theirs(keys):
    keys.path.parent.mkdir()
    os.chown(keys.path.parent, 10001, 10001)
    for _ in range(2):
        keys.add("laptop", rights=["read"])
        assert {file.stat().st_uid for file in keys.path.parent.iterdir()} == {10001}
    assert keys.path.stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_the_lock_leads_nobody_to_another_file(keys, tmp_path):
    other = tmp_path / "other"
    other.write_text("whose")
    keys.path.parent.mkdir()
    (keys.path.parent / ".keys.json.lock").symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        keys.add("laptop", rights=["read"])
    assert other.read_text() == "whose"


@pytest.mark.parametrize("tenant", ["Acme", "a b", "../a", "a\x1fb", "-a", "x" * 64])
def test_a_tenants_name_is_plain(keys, tenant):
    with pytest.raises(ConfigError, match="tenant"):
        keys.add("laptop", tenant=tenant, rights=["read"])


def test_a_key_without_rights_is_none(keys):
    with pytest.raises(ConfigError, match="right"):
        keys.add("laptop", rights=[])


@pytest.mark.parametrize("content", ["", "[]", "{", '{"keys": [{"id": 1}]}', '{"other": 1}', "[" * 100_000])
def test_a_file_of_something_else_is_refused_and_named(keys, content):
    keys.path.parent.mkdir()
    keys.path.write_text(content)
    with pytest.raises(ConfigError, match=r"keys\.json"):
        keys.find("pp-0-0")


def test_a_key_that_is_not_there_cannot_be_revoked(keys):
    keys.add("laptop", rights=["read"])
    with pytest.raises(ConfigError, match="holds no key"):
        keys.revoke("00000000")
    assert len(json.loads(keys.path.read_text())["keys"]) == 1
