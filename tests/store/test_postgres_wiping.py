"""After a forget no byte of the user is in the files of Postgres' tables; what is searched here is the raw files."""

import signal

import psycopg
import pytest

from personaplug.errors import StoreError, UnknownUserError
from personaplug.store.bank import Bank
from personaplug.store.base import text_hash
from personaplug.store.persona_store import PersonaStore
from personaplug.store.postgres import connection
from tests.store.fakes import LAYOUT, stack
from tests.store.killed_forget import killed_before_wiping
from tests.store.traces import all_bytes, history, traces

USERS = ("ada-lovelace", "bob-marley", "ada-lovelace-2")
TRACES = traces("bob-marley", history("bob-marley"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONAPLUG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def filled(url):
    """A store in a server that other tests have used: what they left of the same users is in other files."""
    with PersonaStore.open(url, layout=LAYOUT) as store:
        for user in USERS:
            store.append(user, history(user), stack(history(user)))
        yield store


@pytest.fixture
def tables(filled, postgres):
    """Give the bytes of the files of this store's tables and indexes, and of all that Postgres says of tables."""

    def read():
        postgres.run("CHECKPOINT")
        ours = f"relnamespace = '{filled.path.schema}'::regnamespace"
        out_of_line = f"oid IN (SELECT reltoastrelid FROM pg_class WHERE {ours})"
        query = "SELECT pg_relation_filepath(oid) FROM pg_class WHERE relfilenode <> 0 AND "
        own = postgres.run(f"{query} ({ours} OR {out_of_line})")
        shared = postgres.run("SELECT pg_relation_filepath(oid) FROM pg_class WHERE relname LIKE 'pg_statistic%'")
        return b"".join((postgres.data / path).read_bytes() for (path,) in own + [row for row in shared if row[0]])

    return read


def left_in(content):
    return [trace for trace in TRACES if trace in content]


def test_nothing_of_a_forgotten_user_is_in_any_file_of_the_tables_or_in_a_snapshot(filled, tables, postgres, tmp_path):
    filled.snapshot(tmp_path / "bank")
    filled.snapshot(filled.own_snapshot())
    postgres.run("ANALYZE")
    assert left_in(tables() + all_bytes(tmp_path)) == TRACES
    assert filled.forget("bob-marley") == 8
    assert left_in(tables()) == []
    assert left_in(all_bytes(tmp_path)) == []
    for user in ("ada-lovelace", "ada-lovelace-2"):
        assert filled.get(user).items == tuple(history(user))
        assert filled.vectors(filled.get(user)).tobytes() == stack(history(user)).astype("<f2").tobytes()


def test_the_whole_data_directory_holds_nothing_once_the_log_was_switched_and_a_checkpoint_made(postgres):
    user = "carl-linnaeus"
    wanted = traces(user, history(user, 2))
    with PersonaStore.open(postgres.url(), layout=LAYOUT) as store:
        for each in (user, "ada-lovelace"):
            store.append(each, history(each, 2), stack(history(each, 2)))
        store.forget(user)
        log = all_bytes(postgres.data / "pg_wal")
        assert [trace for trace in wanted if trace in log]  # a forget does not reach the write-ahead log
        postgres.run("SELECT pg_switch_wal()", "CHECKPOINT", "SELECT pg_switch_wal()", "CHECKPOINT")
        content = all_bytes(postgres.data)
    assert [trace for trace in wanted if trace in content] == []


def test_a_users_replaced_items_are_gone_too(filled, tables):
    first = history("bob-marley")[0]
    changed = type(first)(first.id, "what bob said on second thoughts", "nothing", first.time)
    filled.append("bob-marley", [changed], stack([changed]))
    filled.forget("bob-marley")
    assert left_in(tables()) == []


def test_an_older_transaction_that_may_see_the_rows_leaves_the_forget_unfinished_and_the_next_one_finishes(
    filled, tables, postgres, monkeypatch
):
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.5)
    with psycopg.connect(postgres.url().partition("?")[0]) as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT count(*) FROM pg_class")  # it touches no table of ours
        with pytest.raises(StoreError, match=r"remains of them could not be wiped out: .* older transaction") as caught:
            filled.forget("bob-marley")
    assert "repeat" in caught.value.hint
    assert left_in(tables())
    assert filled.has_remains
    assert filled.forget("bob-marley") == 0
    assert left_in(tables()) == []
    with pytest.raises(UnknownUserError):
        filled.forget("bob-marley")


def test_a_forget_that_was_killed_is_finished_by_the_next_of_whatever_user(filled, url, tables):
    assert killed_before_wiping(url) == -signal.SIGKILL
    assert left_in(tables())
    assert filled.forget("ada-lovelace-2") == 8
    assert left_in(tables()) == []
    assert list(filled.users()) == ["ada-lovelace"]


def test_a_snapshot_of_the_store_is_in_this_machines_cache_and_deleted_with_a_forget(filled, tmp_path):
    folder = filled.own_snapshot()
    assert folder == tmp_path / "cache" / "snapshots" / f"{filled.identity}.bank"
    assert filled.snapshot(folder).is_current(filled)
    filled.forget("bob-marley")
    assert not folder.exists()


def test_snapshots_on_other_machines_are_told_of_and_those_that_are_here_go(filled, tmp_path, caplog, monkeypatch):
    filled.snapshot(tmp_path / "here")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("personaplug.store.postgres.tables.node", lambda: "other")
        filled.snapshot(tmp_path / "there")
    filled.forget("bob-marley")
    assert f"other:{tmp_path / 'there'}" in caplog.text
    assert not (tmp_path / "here").exists()
    assert text_hash("bob-marley") in (tmp_path / "there" / "users.bin").read_bytes()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("personaplug.store.postgres.tables.node", lambda: "other")
        with pytest.raises(UnknownUserError):  # the same command there deletes what is out of date
            filled.forget("bob-marley")
    assert not (tmp_path / "there").exists()


def test_an_unknown_user_costs_no_snapshot_that_is_of_the_store_as_it_is(filled, tmp_path):
    filled.snapshot(tmp_path / "bank")
    with pytest.raises(UnknownUserError):
        filled.forget("nobody")
    assert Bank.open(tmp_path / "bank").manifest.users == 3
