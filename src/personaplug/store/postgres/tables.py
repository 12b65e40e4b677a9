"""A store's tables in a schema of a Postgres database."""

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from heapq import merge
from pathlib import Path
from platform import node
from shlex import quote

from personaplug.cache import cache_folder
from personaplug.errors import StoreError
from personaplug.store.address import PostgresUrl
from personaplug.store.base import StoreLayout, text_hash
from personaplug.store.meta import stored_layout
from personaplug.store.postgres import schema, tenants
from personaplug.store.postgres.connection import PostgresDatabase
from personaplug.store.postgres.vacuum import write_anew

log = logging.getLogger(__name__)


class PostgresTables(PostgresDatabase):
    """An open schema with a store's tables; :class:`personaplug.store.tables.Tables` says what each verb promises."""

    _was_up_to_date = False  # when its layout was read: there is no way back, so nobody need ask again

    @classmethod
    def open(cls, url: PostgresUrl, layout: StoreLayout | None) -> "PostgresTables":
        """Open a schema, with tables that are made first if there are none and a layout is given.

        Raises:
            StoreError: There are none, or the server cannot be reached.
        """
        tables = cls(url)
        try:
            if not schema.is_there(tables):
                if layout is None:
                    raise StoreError(
                        f"{url}: there is no such store",
                        hint=f"make it: personaplug index LOG --task TASK --store {quote(str(url))}",
                    )
                schema.create(tables, layout)
        except StoreError:
            tables.close()
            raise
        return tables

    @classmethod
    def is_taken(cls, url: PostgresUrl) -> bool:
        """Tell whether the schema holds something of a store's."""
        with closing(cls(url)) as tables:
            return schema.is_there(tables)

    @classmethod
    def admit(cls, url: PostgresUrl, role: str, *, tenant: str) -> None:
        """Let a role read and write the users of one tenant.

        Raises:
            ConfigError: The tenant's name is none.
            StoreError: There is no store or no role, or one may not do this.
        """
        with closing(cls.open(url, None)) as tables:
            tables.layout()
            with tables.transaction():
                tables.bring_up_to_date()
                tenants.admit(tables, role, tenant=tenant)

    def layout(self) -> StoreLayout:
        """Read what the store's vectors are made of.

        Raises:
            StoreError: The schema holds no store, or one of another version.
        """
        schema.check_version(self)
        self._was_up_to_date = schema.version_of(self) == schema.SCHEMA_VERSION
        return stored_layout(self)

    def order_of_items(self) -> str:
        """Write the order of a user's items: oldest first, those of one moment as appended."""
        return "time, place, id"

    def believed(self) -> str:
        """Write the condition: no tenant's role can have written the item, but this one."""
        has_tenants = self._was_up_to_date or schema.version_of(self) > schema.FIRST_VERSION
        return tenants.WRITTEN_BY_NO_OTHER if has_tenants else "true"

    def bring_up_to_date(self) -> None:
        """Give a store of an older version the steps that it lacks."""
        if not self._was_up_to_date:
            schema.bring_up_to_date(self)

    def add_user(self, user_id: str) -> None:
        """Make a key for a user who has none."""
        statement = "INSERT INTO users (user_id, hash) VALUES (?, ?) ON CONFLICT DO NOTHING"
        self.rows(statement, user_id, text_hash(user_id))

    def users_by_hash(self) -> Iterator[tuple[str, int]]:
        """Iterate over users and their keys by the hash of the id; a tenant's role may have written a wrong one."""
        told = "SELECT user_id, key, hash FROM users ORDER BY hash"
        wrong = sorted(
            (text_hash(user), user, key) for user, key, hashed in self.stream(told) if hashed != text_hash(user)
        )
        wrong_keys = {key for _, _, key in wrong}
        right = ((hashed, user, key) for user, key, hashed in self.stream(told) if key not in wrong_keys)
        return ((user, key) for _, user, key in merge(right, wrong))

    def wipe(self) -> None:
        """Write the tables anew; what snapshots on other machines hold is told of."""
        write_anew(self)
        ways = [way for (way,) in self.rows("SELECT folder FROM snapshots")]
        if elsewhere := [way for way in ways if self.folder_at(way) is None]:
            log.warning("%s: snapshots on other machines may hold who was forgotten: %s", self.path, elsewhere)

    def own_files(self) -> set[Path]:
        """Name the folder of the store's snapshot on this machine."""
        return self.bank_folders()

    def bank_folders(self) -> set[Path]:
        """Name that folder."""
        return {self.bank_folder().resolve()}

    def bank_folder(self) -> Path:
        """Name a folder of this machine's cache, by the store's identity."""
        identity = self.meta(str, "identity")
        if not re.fullmatch("[0-9a-f]+", identity):
            raise self.damage()
        return cache_folder() / "snapshots" / f"{identity}.bank"

    def ways_to(self, folder: Path) -> set[str]:
        """Write the machine's name before the path."""
        return {f"{node()}:{folder}"}

    def folder_at(self, way: str) -> Path | None:
        """Take the machine's name off the path; None where it is another's."""
        machine, _, folder = way.partition(":")
        return Path(folder) if machine == node() else None
