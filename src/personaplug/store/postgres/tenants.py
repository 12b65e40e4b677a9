"""Row-level security: a role of one tenant sees that tenant's users and no others, whatever it writes as SQL.

A tenant's users have ids of the form tenant, U+001F, user, as a server stores them. A role is a tenant's by a row of
``tenants``, which the owner of the tables alone may write. The owner sees all.
See https://www.postgresql.org/docs/current/ddl-rowsecurity.html.
"""

import re

from personaplug.errors import ConfigError, StoreError
from personaplug.store.postgres.connection import PostgresDatabase

_OWN = "(SELECT tenant FROM tenants WHERE role = current_user)"
_CHANGING = "('version', 'placed', 'unscrubbed')"
_ITEMS_OWN = 'EXISTS (SELECT 1 FROM users WHERE key = "user")'
POLICIES = f"""
CREATE TABLE tenants (role TEXT PRIMARY KEY, tenant TEXT COLLATE "C" NOT NULL CHECK (tenant <> ''));
ALTER TABLE users ADD COLUMN tenant TEXT COLLATE "C" NOT NULL GENERATED ALWAYS AS
    (CASE WHEN strpos(user_id, U&'\\001F') > 0 THEN split_part(user_id, U&'\\001F', 1) ELSE '' END) STORED;
ALTER TABLE users ALTER COLUMN tenant SET STATISTICS 0;
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE items ENABLE ROW LEVEL SECURITY;
ALTER TABLE meta ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_role ON tenants FOR SELECT USING (role = current_user);
CREATE POLICY own_users ON users USING (tenant = {_OWN}) WITH CHECK (tenant = {_OWN});
CREATE POLICY own_items ON items USING ({_ITEMS_OWN}) WITH CHECK ({_ITEMS_OWN});
CREATE POLICY all_numbers ON meta FOR SELECT USING (true);
CREATE POLICY changing_numbers ON meta FOR UPDATE USING (key IN {_CHANGING}) WITH CHECK (key IN {_CHANGING});
"""
NARROWER = (
    "CREATE INDEX users_by_hash ON users (hash)",
    "ALTER TABLE users DROP CONSTRAINT users_hash_key",
    """DO $$ DECLARE name TEXT; BEGIN
    FOR name IN SELECT DISTINCT quote_ident(rolname)
        FROM pg_class, aclexplode(relacl) AS granted JOIN pg_roles ON pg_roles.oid = granted.grantee
        WHERE pg_class.oid = 'users'::regclass AND privilege_type = 'INSERT' AND grantee <> relowner LOOP
        EXECUTE 'REVOKE INSERT ON users FROM ' || name;
        EXECUTE 'GRANT INSERT (user_id, hash) ON users TO ' || name;
    END LOOP; END $$""",
)
"""What a role may write decides about nobody else. Were hashes unique, a refusal would tell it who is there, and a
wrong one keep another tenant's new user out. So would a key that it has taken beforehand.
"""

WRITTEN_BY_NO_OTHER = """NOT EXISTS (
    SELECT 1 FROM users u JOIN tenants t ON t.tenant = u.tenant WHERE u.key = items."user" AND t.role <> current_user
)"""
"""The condition on an item that no other role can have written: its vectors may stand for equal texts of anybody."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")


def admit(database: PostgresDatabase, role: str, *, tenant: str) -> None:
    """Let a role read and write the users of one tenant.

    Args:
        database: As the owner of its tables.
        role: Which the server knows; it may be no owner and no superuser, for whom no policy holds.
        tenant: As a server's keys name it.

    Raises:
        ConfigError: The tenant's name is none.
        StoreError: There is no such role, it is above the policies, or one may not do this.
    """
    if not _NAME.fullmatch(tenant):
        raise ConfigError(f"the tenant {tenant!r} is not made of a-z, 0-9, dots and dashes, 63 at most")
    _check_role(database, role)
    schema, name = f'"{database.path.schema}"', '"' + role.replace('"', '""') + '"'
    with database.transaction():
        database.rows(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
        database.rows(f"GRANT SELECT ON words, snapshots, tenants TO {name}")
        database.rows(f"GRANT SELECT, UPDATE ON meta TO {name}")
        database.rows(f"REVOKE INSERT ON users FROM {name}")  # as a role had it in schema 2
        database.rows(f"GRANT SELECT, DELETE, INSERT (user_id, hash) ON users TO {name}")
        database.rows(f"GRANT SELECT, DELETE, INSERT ON items TO {name}")
        database.rows(
            "INSERT INTO tenants VALUES (?, ?) ON CONFLICT (role) DO UPDATE SET tenant = ?", role, tenant, tenant
        )


def _check_role(database: PostgresDatabase, role: str) -> None:
    query = (
        "SELECT rolsuper OR rolbypassrls OR pg_has_role(oid, current_user, 'MEMBER') FROM pg_roles WHERE rolname = ?"
    )
    match database.rows(query, role):
        case []:
            raise StoreError(f"{database.path}: there is no role {role!r}", hint=f"make it: createuser {role}")
        case [(True,)]:
            raise StoreError(
                f"{database.path}: no policy holds for {role!r}, a superuser, owner or one with BYPASSRLS",
                hint="make a role of its own for each tenant: createuser NAME",
            )
