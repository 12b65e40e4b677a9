"""What a store in Postgres does beside what every store does: many processes, lost servers, other versions."""

import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaplug.errors import StoreError
from personaplug.store.address import PostgresUrl
from personaplug.store.base import text_hash
from personaplug.store.persona_store import PersonaStore
from personaplug.store.postgres import connection, schema
from personaplug.store.postgres.failures import not_connected
from personaplug.store.postgres.text import escaped, unescaped
from tests.factories import make_item, make_items
from tests.postgres_server import PASSWORD
from tests.store.fakes import LAYOUT, stack
from tests.store.trips import counted

ITEMS = make_items("one", "two", "three")
TEXTS = st.text(st.sampled_from("\0\1\2\3a"))


@pytest.fixture
def store(url):
    with PersonaStore.open(url, layout=LAYOUT) as opened:
        yield opened


def name_of(store):
    return store.path.schema


@given(TEXTS, TEXTS)
def test_texts_without_nul_come_back_and_keep_their_order(one, other):
    assert "\0" not in escaped(one)
    assert unescaped(escaped(one)) == one
    assert (escaped(one).encode() < escaped(other).encode()) == (one.encode() < other.encode())


APPENDING = """
import sys
from dataclasses import replace
from personaplug.store.persona_store import PersonaStore
from tests.factories import make_item
from tests.store.fakes import stack
url, own = sys.argv[1:]
with PersonaStore.open(url) as store:
    for number in range(12):
        item = replace(make_item(0, f"{own} said {number}"), id=f"{own}-{number}")
        for user in ("all", own):
            assert store.append(user, [item], stack([item])) == 1
"""


def test_processes_that_append_at_once_lose_nothing_and_each_ones_items_keep_their_order(store, url):
    names = ["a", "b", "c"]
    writers = [subprocess.Popen([sys.executable, "-c", APPENDING, url, name]) for name in names]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert store.count() == 2 * 3 * 12
    told = [item.id.split("-") for item in store.get("all").items]  # all of one moment
    for name in names:
        numbers = [int(number) for own, number in told if own == name]
        assert numbers == list(range(12))
        assert [item.id for item in store.get(name).items] == [f"{name}-{number}" for number in range(12)]
    places = store._tables.rows("SELECT place FROM items")
    assert len(set(places)) == len(places)


def test_the_version_of_a_change_is_seen_with_the_change_and_not_before(store, url):
    store.append("ada", ITEMS[:1], stack(ITEMS[:1]))
    with PersonaStore.open(url) as reader:
        before = reader.version
        with store.together():
            store.append("ada", ITEMS[1:], stack(ITEMS[1:]))
            assert (reader.version, len(reader.get("ada").items)) == (before, 1)
        assert reader.version > before
        assert reader.get("ada").items == ITEMS


def test_an_append_to_a_known_user_is_seven_trips_to_the_server(store, postgres, url):
    items = make_items(*"abcdefghijkl")
    with counted(postgres.port) as wire, PersonaStore.open(wire.url(url)) as over:
        trips = []
        for item in items:  # the first ones prepare the statements, too
            before = wire.trips
            assert over.append("ada", [item], stack([item])) == 1
            trips.append(wire.trips - before)
    assert min(trips) == 7, trips
    assert store.get("ada").items == items


def test_a_snapshot_holds_one_moment_and_lets_writers_go_on(store, url, tmp_path, monkeypatch):
    store.append("ada", ITEMS[:1], stack(ITEMS[:1]))
    by_hash = type(store._tables).users_by_hash

    def with_a_writer(self):
        with PersonaStore.open(url) as writer:
            writer.append("bob", ITEMS, stack(ITEMS))
        return by_hash(self)

    with monkeypatch.context() as patched:
        patched.setattr(type(store._tables), "users_by_hash", with_a_writer)
        bank = store.snapshot(tmp_path / "bank")
    assert (bank.manifest.users, bank.is_current(store)) == (1, False)
    assert store.snapshot(tmp_path / "bank").manifest.users == 2


def test_an_open_store_outlives_a_restart_of_the_server(store, postgres):
    store.append("ada", ITEMS, stack(ITEMS))
    postgres.restart()
    assert store.get("ada").items == ITEMS
    postgres.restart()
    assert store.append("bob", ITEMS, stack(ITEMS)) == 3


def test_a_server_that_is_away_is_our_error_tells_no_password_and_is_found_again(postgres, url, monkeypatch, caplog):
    monkeypatch.setattr(connection, "_CONNECT_SECONDS", 1)
    with PersonaStore.open(url, layout=LAYOUT) as store:
        postgres.stop()
        try:
            for verb in (lambda: store.count(), lambda: store.append("ada", ITEMS, stack(ITEMS))):
                with pytest.raises(StoreError, match="the server cannot be reached") as caught:
                    verb()
                assert "repeat" in caught.value.hint
        finally:
            postgres.start()
        assert "psycopg" in {record.name.partition(".")[0] for record in caplog.records}
        assert PASSWORD not in caplog.text
        assert store.append("ada", ITEMS, stack(ITEMS)) == 3


def test_a_host_that_has_no_address_is_named():
    error = psycopg.OperationalError("failed to resolve host 'database': Name or service not known")
    told = not_connected(PostgresUrl.read("postgresql://owner@database/test"), error)
    assert "failed to resolve host 'database'" in str(told)
    assert "the server runs" in told.hint


def test_a_writer_that_takes_too_long_is_our_error_and_nothing_is_stored(url, store, monkeypatch):
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.1)
    with PersonaStore.open(url) as hasty, store.together():
        with pytest.raises(StoreError, match="another process is using the store"):
            hasty.append("ada", ITEMS, stack(ITEMS))
        assert hasty.count() == 0


def test_no_password_is_told_of_whatever_fails(postgres, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "wrong-horse"
    failures = [
        postgres.url(password=secret),
        postgres.url(database="nowhere"),
        f"postgresql://owner:{secret}@127.0.0.1:1/test",
        f"postgresql://owner:{secret}@127.0.0.1:{postgres.port}/test?sslmode=nonsense",
        f"postgresql://owner@127.0.0.1:{postgres.port}/test?password={secret}&port=nonsense",
    ]
    for address in failures:
        with pytest.raises(StoreError) as caught:
            PersonaStore.open(address)
        told = f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
        assert str(postgres.port) in told or ":1/" in told
        assert not [word for word in (secret, PASSWORD) if word in told + caplog.text]


def test_a_store_that_is_not_there_is_not_made_by_reading(postgres, url):
    with pytest.raises(StoreError, match="there is no such store") as caught:
        PersonaStore.open(url)
    assert f"--store '{str(url).replace(':' + PASSWORD, '')}'" in caught.value.hint
    assert not postgres.run(f"SELECT 1 FROM pg_namespace WHERE nspname = '{url.rpartition('=')[2]}'")


def test_a_schema_of_others_is_named_and_left_alone(postgres, url):
    name = url.rpartition("=")[2]
    postgres.run(f"CREATE SCHEMA {name}", f"CREATE TABLE {name}.meta (key text, value bigint)", user="owner")
    for layout in (None, LAYOUT):
        with pytest.raises(StoreError, match="not a persona store's"):
            PersonaStore.open(url, layout=layout)


def test_a_database_that_holds_no_unicode_gets_no_store(postgres):
    postgres.run("CREATE DATABASE latin OWNER owner TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(StoreError, match="the database is in LATIN1, not in UTF8") as caught:
        PersonaStore.open(postgres.url(database="latin"), layout=LAYOUT)
    assert "createdb --encoding UTF8" in caught.value.hint


def test_another_version_is_refused_with_both_numbers(store, url):
    store._tables.rows("UPDATE meta SET value = 99 WHERE key = 'schema'")
    with pytest.raises(StoreError, match="version 99; this personaplug reads versions 1 to 3"):
        PersonaStore.open(url)


def test_a_store_of_the_first_version_is_read_as_it_is_and_brought_up_to_date_by_an_append(url, monkeypatch):
    with monkeypatch.context() as former:
        former.setattr(schema, "SCHEMA_VERSION", 1)
        with PersonaStore.open(url, layout=LAYOUT) as store:
            store.append("shop\x1fada", ITEMS, stack(ITEMS))
    with PersonaStore.open(url) as store:
        assert store.get("shop\x1fada").items == ITEMS
        assert schema.version_of(store._tables) == 1
        store.append("bob", ITEMS, stack(ITEMS))
        assert schema.version_of(store._tables) == schema.SCHEMA_VERSION
        assert store._tables.rows("SELECT tenant FROM users ORDER BY user_id") == [("",), ("shop",)]


def test_while_replicas_are_replaced_those_of_the_version_before_go_on_appending(url, monkeypatch):
    with monkeypatch.context() as former:
        former.setattr(schema, "SCHEMA_VERSION", 1)
        older = PersonaStore.open(url, layout=LAYOUT)
        older.append("ada", ITEMS[:1], stack(ITEMS[:1]))
    with older, PersonaStore.open(url) as newer:
        newer.append("bob", ITEMS, stack(ITEMS))
        assert schema.version_of(older._tables) == schema.SCHEMA_VERSION
        older.append("ada", ITEMS[1:], stack(ITEMS[1:]))
        older.append("cy", ITEMS, stack(ITEMS))
        for each in (older, newer):
            assert [each.get(user).items for user in ("ada", "bob", "cy")] == [ITEMS] * 3


DAMAGE = [
    "DELETE FROM meta WHERE key = 'version'",
    "UPDATE words SET value = '[' WHERE key = 'views'",
    "UPDATE items SET vectors = '\\xff00'",
    "UPDATE items SET vectors = '\\x007c' || substr(vectors, 3)",
    "UPDATE items SET time = 9000000000000000000",
    "ALTER TABLE items DROP COLUMN input",
    "DROP TABLE users CASCADE",
]


def read_all(url):
    with PersonaStore.open(url) as broken:
        return broken.version, broken.vectors(broken.get("ada"))


@pytest.mark.parametrize("statement", DAMAGE)
def test_tables_with_what_no_store_holds_are_damage_with_a_way_out_and_without_a_text(store, url, statement):
    store.append("ada", ITEMS, stack(ITEMS))
    store._tables.rows(statement)
    with pytest.raises(StoreError, match="the store's tables are damaged") as caught:
        read_all(url)
    assert "restore a backup" in caught.value.hint
    assert "one" not in str(caught.value).replace("persona", "")


def test_an_id_that_no_index_takes_is_our_error_and_quotes_nothing(store):
    names = "".join(np.random.default_rng(0).choice(list("abcdefghij0123456789"), 9000))
    item = replace(make_item(0), id=names)
    with pytest.raises(StoreError, match="an id is too long") as caught:
        store.append("ada", [item], stack([item]))
    assert names[:20] not in f"{caught.value}"
    assert store.count() == 0


def test_fetches_go_by_an_index_though_the_tables_have_no_statistics(store):
    store.append("ada", ITEMS, stack(ITEMS))
    for view in range(2):
        plan = store._tables.rows(
            f"EXPLAIN SELECT 1 FROM items WHERE substr(hashes, {1 + 16 * view}, 16) = ? LIMIT 1", text_hash("one")
        )
        assert f"items_by_text_{view}" in str(plan)


def test_the_server_knows_that_what_was_acknowledged_is_on_disk(store):
    assert store._tables.rows("SHOW synchronous_commit") == [("on",)]


def test_a_machine_that_is_lost_is_found_out_in_half_a_minute_at_either_end(store):
    shown = store._tables.rows("SELECT name, setting FROM pg_settings WHERE strpos(name, 'tcp_keepalives') = 1")
    assert dict(shown) == {
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }
    with store._tables.borrowed() as held:
        told = held.info.get_parameters()
    assert (told["keepalives_idle"], told["keepalives_count"], told["tcp_user_timeout"]) == ("10", "3", "25000")


def test_the_owner_alone_may_look_at_a_new_store(store, postgres):
    postgres.run("DROP ROLE IF EXISTS guest", f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.run(f"SELECT * FROM {name_of(store)}.users", user="guest")
    with pytest.raises(StoreError, match="this role may not do that"):
        PersonaStore.open(postgres.url(name_of(store), user="guest"))
