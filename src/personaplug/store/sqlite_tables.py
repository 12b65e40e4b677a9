"""A store's tables in one SQLite file."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from personaplug.errors import StoreError
from personaplug.store import schema
from personaplug.store.base import StoreLayout, text_hash
from personaplug.store.database import Database
from personaplug.store.meta import stored_layout
from personaplug.store.snapshots import beside
from personaplug.store.tables import Value


class SqliteTables(Database):
    """An open file with a store's tables; see :class:`personaplug.store.tables.Tables` for what each verb promises."""

    @classmethod
    def open(cls, path: Path, layout: StoreLayout | None) -> "SqliteTables":
        """Open a file, made first if it is not there and a layout is given.

        Raises:
            StoreError: There is none.
        """
        if not path.exists():
            if layout is None:
                raise StoreError(
                    f"{path}: there is no such store",
                    hint=f"make it: personaplug index LOG --task TASK --store {path}",
                )
            schema.create(path, layout)
        schema.warn_of_readers(path)
        return cls(path)

    @classmethod
    def in_memory(cls, layout: StoreLayout) -> "SqliteTables":
        """Make empty tables that never touch the disk."""
        file = cls(Path(":memory:"))
        file.rows("PRAGMA temp_store = MEMORY")
        schema.lay_out(file, layout)
        return file

    def layout(self) -> StoreLayout:
        """Read what the store's vectors are made of.

        Raises:
            StoreError: The file is no store, or one of another schema version.
        """
        schema.check_version(self)
        return stored_layout(self)

    def held(self) -> AbstractContextManager[None]:
        """Let writers wait, so that nothing moves."""
        return self.transaction()

    def meta(self, kind: type[Value], key: str) -> Value:
        """Read one thing that the store says of itself."""
        return self.value(kind, "SELECT value FROM meta WHERE key = ?", key)

    def order_of_items(self) -> str:
        """Write the order of a user's items."""
        return schema.order_of_items(self)

    def believed(self) -> str:
        """Write the condition: all items are this store's own."""
        return "true"

    def bring_up_to_date(self) -> None:
        """Give a store of the first version what it lacks."""
        schema.bring_up_to_date(self)

    def add_user(self, user_id: str) -> None:
        """Make a key for a user who has none."""
        self.rows("INSERT OR IGNORE INTO users (user_id) VALUES (?)", user_id)

    def users_by_hash(self) -> Iterator[tuple[str, int]]:
        """Iterate over users and their keys by the hash of the id."""
        return self.stream("SELECT user_id, key FROM users ORDER BY text_hash(user_id)", text_hash=text_hash)

    def wipe(self) -> None:
        """Write the file anew and empty its write-ahead log; :mod:`personaplug.store.wiping` says why."""
        self.rows("VACUUM")
        ((is_busy, _, _),) = self.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        if is_busy:
            raise StoreError(f"{self.path}: another process reads the store")

    def own_files(self) -> set[Path]:
        """Name the file, what SQLite has beside it, and its snapshot."""
        file = self.path.resolve()
        return {file, *(file.with_name(file.name + end) for end in ("-wal", "-shm")), beside(file)}

    def bank_folders(self) -> set[Path]:
        """Name the snapshot beside the file, and beside the name by which it was opened."""
        return {beside(path).resolve() for path in (self.path, self.path.resolve())} if self.is_on_disk else set()

    def bank_folder(self) -> Path:
        """Name the folder beside the file."""
        return beside(self.path)

    def ways_to(self, folder: Path) -> set[str]:
        """Give the absolute path, and the way from the file's folder: one leads there when the store moves alone."""
        return {str(folder), os.path.relpath(folder, self.path.resolve().parent)}

    def folder_at(self, way: str) -> Path:
        """Follow a way from the file's folder."""
        return self.path.resolve().parent / str(way)
