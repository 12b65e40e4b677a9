"""A role of one tenant sees that tenant's users alone, whatever it writes as SQL."""

from itertools import count

import numpy as np
import psycopg
import pytest

from personaplug.errors import ConfigError, StoreError, UnknownUserError
from personaplug.store.base import text_hash
from personaplug.store.opening import admit
from personaplug.store.persona_store import PersonaStore
from personaplug.store.postgres import schema
from tests.factories import make_items
from tests.postgres_server import PASSWORD
from tests.store.fakes import LAYOUT, stack

ITEMS = make_items("one", "two", "three")
SECRET = make_items("a secret of the other shop")
_NUMBERS = count()


@pytest.fixture
def owner(url):
    with PersonaStore.open(url, layout=LAYOUT) as store:
        store.append("shop\x1fada", ITEMS, stack(ITEMS))
        store.append("other\x1fada", SECRET, stack(SECRET))
        store.append("ada", SECRET, stack(SECRET))
        yield store


@pytest.fixture
def role(postgres, owner):
    """A role that is let in to the users of `shop`."""
    name = f"shop_{next(_NUMBERS)}"
    postgres.run(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    admit(owner.path, name, tenant="shop")
    return name


@pytest.fixture
def former_role(postgres, url, monkeypatch):
    """A role that schema 2 let in, to the users of `shop`."""
    name = f"shop_{next(_NUMBERS)}"
    postgres.run(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    with monkeypatch.context() as former:
        former.setattr(schema, "SCHEMA_VERSION", 2)
        with PersonaStore.open(url, layout=LAYOUT) as owner:
            admit(owner.path, name, tenant="shop")
            postgres.run(f"SET search_path = {owner.path.schema}", f"GRANT INSERT ON users TO {name}")
    return name


@pytest.fixture
def shop(postgres, owner, role):
    with PersonaStore.open(postgres.url(owner.path.schema, user=role)) as store:
        yield store


def test_the_tenants_store_has_the_tenants_users_alone(shop, owner):
    assert list(shop.users()) == ["shop\x1fada"]
    assert shop.get("shop\x1fada").items == ITEMS
    assert shop.count() == 3
    assert shop.version == owner.version
    for user in ("other\x1fada", "ada"):
        with pytest.raises(UnknownUserError):
            shop.get(user)
    assert not shop.known([text_hash(SECRET[0].input)])


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ("SELECT count(*) FROM users", 1),
        ("SELECT count(*) FROM items", 3),
        ("SELECT count(*) FROM items WHERE input LIKE '%secret%'", 0),
        ("SELECT count(*) FROM items i JOIN users u ON true WHERE u.tenant <> 'shop'", 0),
        ("SELECT count(*) FROM tenants", 1),
        ("SELECT count(*) FROM pg_stats WHERE tablename IN ('users', 'items')", 0),
        ("WITH changed AS (UPDATE meta SET value = 7 WHERE key = 'dim' RETURNING 1) SELECT count(*) FROM changed", 0),
        ("WITH gone AS (DELETE FROM users WHERE tenant <> 'shop' RETURNING 1) SELECT count(*) FROM gone", 0),
        ("WITH gone AS (DELETE FROM items WHERE input LIKE '%secret%' RETURNING 1) SELECT count(*) FROM gone", 0),
    ],
)
def test_a_statement_written_by_hand_reaches_nobody_elses_rows(postgres, owner, role, query, seen):
    by_hand = (f"SET search_path = {owner.path.schema}", "SET row_security = on", query)
    assert postgres.run(*by_hand, user=role) == [(seen,)]
    assert owner.count() == 5


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE owner",
        "INSERT INTO tenants VALUES (current_user, 'other')",
        "UPDATE tenants SET tenant = 'other'",
        "INSERT INTO users (user_id, hash) VALUES ('other' || U&'\\001F' || 'eve', 'x')",
        "INSERT INTO items SELECT 2, time, 'forged', place, content, hashes, vectors, input, output FROM items LIMIT 1",
        "INSERT INTO users (key, user_id, hash) OVERRIDING SYSTEM VALUE VALUES (9, 'shop' || U&'\\001F' || 'eve', 'x')",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "UPDATE users SET user_id = 'x'",
        "INSERT INTO snapshots VALUES ('x')",
    ],
)
def test_what_would_reach_further_is_refused(postgres, owner, role, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.run(f"SET search_path = {owner.path.schema}", statement, user=role)


def forge(postgres, owner, role, *, user, hash_of):
    """Have a tenant's role write another user's hash for one of its own."""
    values = f"'shop' || U&'\\001F' || '{user}', '\\x{text_hash(hash_of).hex()}'"
    key = f"(SELECT key FROM users WHERE user_id = 'shop' || U&'\\001F' || '{user}')"
    columns = "time, id, place, content, hashes, vectors, input, output"
    postgres.run(
        f"SET search_path = {owner.path.schema}",
        f"INSERT INTO users (user_id, hash) VALUES ({values})",
        f"INSERT INTO items SELECT {key}, {columns} FROM items LIMIT 1",
        user=role,
    )


def test_a_wrong_hash_tells_a_tenant_nothing_and_keeps_nobody_out(postgres, owner, role):
    forge(postgres, owner, role, user="asks", hash_of="other\x1fada")  # who is there
    forge(postgres, owner, role, user="squats", hash_of="other\x1feve")  # who is not, yet
    owner.append("other\x1feve", ITEMS, stack(ITEMS))
    assert owner.get("other\x1feve").items == ITEMS


def test_a_snapshot_finds_every_user_whatever_hashes_tenants_have_written(postgres, owner, role, tmp_path):
    for number in range(12):
        user = f"other\x1f{number}"
        owner.append(user, ITEMS, stack(ITEMS))
        forge(postgres, owner, role, user=f"eve-{number}", hash_of=f"{number} of nobody")
    bank = owner.snapshot(tmp_path / "bank")
    users = list(owner.users())
    assert (len(users), bank.manifest.users) == (3 + 2 * 12, 3 + 2 * 12)
    for user in users:
        profile = owner.get(user)
        assert (bank.vectors(profile) == owner.vectors(profile)).all()


def test_the_vector_that_a_tenant_has_written_stands_for_nobody_elses_text(shop, owner):
    lies = stack(make_items("elsewhere", "elsewhere", "elsewhere"))
    shop.append("shop\x1feve", make_items("what others may ask"), lies[:1])
    asked = text_hash(make_items("what others may ask")[0].input)
    assert not owner.known([asked])
    assert asked in shop.known([asked])
    owner.append("ada", make_items("what others may ask"), stack(make_items("what others may ask")))
    assert np.allclose(owner.known([asked])[asked], stack(make_items("what others may ask"))[0, 0], atol=1e-3)


def test_a_role_that_was_renamed_after_it_was_let_in_may_not_choose_a_key_either(postgres, url, former_role):
    name = former_role
    postgres.run(f"ALTER ROLE {name} RENAME TO {name}_renamed", f"ALTER ROLE {name}_renamed PASSWORD '{PASSWORD}'")
    with PersonaStore.open(url) as owner:
        owner.append("ada", ITEMS, stack(ITEMS))
        granted = postgres.run(
            f"SET search_path = {owner.path.schema}",
            f"SELECT has_table_privilege('{name}_renamed', 'users', 'INSERT'),"
            f" has_column_privilege('{name}_renamed', 'users', 'hash', 'INSERT')",
        )
    assert granted == [(False, True)]


def test_roles_of_the_version_before_go_on_and_may_no_longer_choose_a_key(postgres, url, former_role):
    name = former_role
    with PersonaStore.open(url) as owner, PersonaStore.open(postgres.url(owner.path.schema, user=name)) as shop:
        assert shop.append("shop\x1fada", ITEMS, stack(ITEMS)) == 3  # the steps are its owner's to take
        assert schema.version_of(owner._tables) == 2
        owner.append("ada", ITEMS, stack(ITEMS))
        assert schema.version_of(owner._tables) == schema.SCHEMA_VERSION
        assert shop.append("shop\x1fbob", ITEMS, stack(ITEMS)) == 3
        values = "9, 'shop' || U&'\\001F' || 'eve', 'x'"
        statement = f"INSERT INTO users (key, user_id, hash) OVERRIDING SYSTEM VALUE VALUES ({values})"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            postgres.run(f"SET search_path = {owner.path.schema}", statement, user=name)


def test_a_policy_that_is_switched_off_gives_an_error_and_no_rows(postgres, owner, role):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.run(f"SET search_path = {owner.path.schema}", "SET row_security = off", "TABLE items", user=role)


def test_a_tenant_appends_to_its_own_users_and_to_nobody_elses(shop, owner):
    shop.append("shop\x1fbob", ITEMS, stack(ITEMS))
    assert owner.get("shop\x1fbob").items == ITEMS
    for user in ("other\x1fbob", "bob", "other\x1fada"):
        with pytest.raises(StoreError, match="this role may not do that"):
            shop.append(user, ITEMS, stack(ITEMS))
    assert len(list(owner.users())) == 4


def test_what_a_tenant_forgets_is_deleted_and_the_owners_next_forget_wipes_it_out(shop, owner):
    with pytest.raises(StoreError, match="only the role that owns the tables"):
        shop.forget("shop\x1fada")
    assert list(owner.users()) == ["ada", "other\x1fada"]
    assert owner.count() == 2
    assert owner.has_remains
    assert owner.forget("nobody") == 0
    assert not owner.has_remains


def test_a_role_above_the_policies_is_not_let_in(owner):
    for role in ("owner", "postgres"):
        with pytest.raises(StoreError, match="no policy holds"):
            admit(owner.path, role, tenant="shop")
    with pytest.raises(StoreError, match="no role 'nobody"):
        admit(owner.path, "nobody-of-that-name", tenant="shop")


def test_a_tenant_and_a_file_must_be_what_they_are_called(owner, path):
    with pytest.raises(ConfigError, match="tenant"):
        admit(owner.path, "x", tenant="a\x1fb")
    with pytest.raises(ConfigError, match="is a file"):
        admit(path, "x", tenant="shop")


def test_a_tenants_own_role_lets_nobody_in(shop):
    with pytest.raises(StoreError, match="this role may not do that"):
        admit(shop.path, "pg_monitor", tenant="shop")
