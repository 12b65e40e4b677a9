"""The commands over a store in Postgres, and what copies a store."""

import json

import pytest

from personaplug.plug.run_folder import store_of
from personaplug.store.address import store_address
from personaplug.store.persona_store import PersonaStore
from tests.postgres_server import PASSWORD
from tests.store.traces import all_bytes


@pytest.fixture
def url(postgres, place, personaplug):
    """The address of a copy of the small log's store."""
    url = postgres.url()
    copied = personaplug("store", "copy", place.store, url)
    assert copied.exit_code == 0, copied.stderr
    shown = url.replace(f":{PASSWORD}", "")
    counted, verified = copied.stdout.splitlines()
    assert counted == f"{shown}: 20 items of 4 users, 20 of them new"
    assert verified.startswith("verified: both hold the same, user by user (hash ")
    return url


def test_what_is_listed_shown_and_exported_is_the_same_from_postgres(personaplug, place, url):
    for words in (["list"], ["list", "--json"], ["show", "ada", "--text"], ["export", "ada"]):
        of_file, of_postgres = (personaplug("persona", *words, "--store", store) for store in (place.store, url))
        assert of_postgres.exit_code == 0, of_postgres.stderr
        assert of_postgres.stdout == of_file.stdout


def test_a_log_that_was_copied_is_known_to_the_next_index(personaplug, place, url):
    words = ["--task", "log", "--encoder", place.models["encoder"], "--json"]
    told = json.loads(personaplug("index", place.log, *words, "--store", url).stdout)
    assert (told["new_items"], told["skipped_existing"]) == (0, 20)


def test_a_run_trained_from_postgres_finds_its_store_again_and_keeps_no_password(
    personaplug, place, url, tmp_path, monkeypatch
):
    monkeypatch.setenv("PERSONAPLUG_CACHE", str(tmp_path / "cache"))
    models = "--encoder", place.models["encoder"], "--backbone", place.models["decoder-only"]
    words = "--task", "log", "--store", url, *models, "--epochs", 1, "--out", tmp_path / "run"
    trained = personaplug("train", place.log, *words)
    assert trained.exit_code == 0, trained.stderr
    assert PASSWORD.encode() not in all_bytes(tmp_path)
    assert str(store_of(tmp_path / "run")) == str(store_address(url))
    refused = personaplug("explain", "tea?", "--run", tmp_path / "run", "--user", "ada")
    assert (refused.exit_code, "password" in refused.stderr) == (1, True)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    answered = personaplug("generate", "tea?", "--run", tmp_path / "run", "--user", "ada", "--max-new-tokens", 2)
    assert answered.exit_code == 0, answered.stderr
    assert [folder.suffix for folder in (tmp_path / "cache" / "snapshots").iterdir()] == [".bank"]


def test_a_forget_by_command_leaves_the_others(personaplug, url, tmp_path):
    (tmp_path / "note.txt").write_text("ada was here")
    done = personaplug("persona", "forget", "--store", url, "ada", "--yes", "--also", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert "forgot ada, 6 items" in done.stdout
    assert "note.txt: the user's id" in done.stdout
    with PersonaStore.open(url) as store:
        assert "ada" not in store.users()
        assert store.count() == 14


def test_an_address_that_cannot_be_read_is_wrong_usage_and_not_quoted(personaplug):
    refused = personaplug("persona", "list", "--store", "postgresql://ada:a/secret@host/db")
    assert refused.exit_code == 2
    assert "PGPASSWORD" in refused.stderr
    assert "secret" not in refused.stderr


def test_a_role_is_let_in_to_a_tenants_users_by_command(personaplug, postgres, url, place):
    postgres.run("DROP ROLE IF EXISTS shop_by_command", f"CREATE ROLE shop_by_command LOGIN PASSWORD '{PASSWORD}'")
    done = personaplug("store", "admit", "shop_by_command", "--tenant", "shop", "--store", url)
    assert done.exit_code == 0, done.stderr
    own = postgres.url(store_address(url).schema, user="shop_by_command")
    assert personaplug("persona", "list", "--store", own).stdout == ""
    refused = personaplug("store", "admit", "x", "--tenant", "shop", "--store", place.store)
    assert "is a file, which has no roles" in refused.stderr
    postgres.run("DROP OWNED BY shop_by_command", "DROP ROLE shop_by_command")
