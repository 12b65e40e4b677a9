"""API keys: a small file that holds their hashes, and nothing by which one could be used."""

import fcntl
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

from personaplug.config import from_mapping
from personaplug.errors import ConfigError
from personaplug.files import appearing, give_as

Right = Literal["generate", "read", "write", "admin"]
RIGHTS: tuple[Right, ...] = get_args(Right)

_TENANT = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_NOBODYS = sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key.

    Attributes:
        id: The part of it that may be shown.
        name: Whose or what for, in a person's words.
        tenant: Whose users it sees; empty for those of the store who have no tenant.
        rights: What it may do; ``admin`` may do everything, and see the metrics.
        hash: SHA-256 of the whole key, hexadecimal: 256 random bits need no slower one.
        made: When, ISO 8601.
    """

    id: str
    name: str
    tenant: str
    rights: tuple[Right, ...]
    hash: str
    made: str

    def __post_init__(self) -> None:
        if self.tenant and not _TENANT.fullmatch(self.tenant):
            raise ValueError(f"the tenant {self.tenant!r} is not made of a-z, 0-9, dots and dashes, 63 at most")
        if not self.rights:
            raise ValueError(f"a key has at least one right of {', '.join(RIGHTS)}")


@dataclass(frozen=True, slots=True)
class _Content:
    keys: tuple[Key, ...] = ()


class KeyFile:
    """The keys of a server, in a file that only its owner may read; changes are seen at once.

    Args:
        path: The file; one that is not there holds no key.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_at: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys.

        Raises:
            ConfigError: The file holds something else.
            OSError: It cannot be read.
        """
        stamp = self._stamp()
        if stamp != self._read_at:
            self._keys = self._read() if stamp else ()
            self._read_at = stamp
        return self._keys

    def find(self, secret: str) -> Key | None:
        """Find a key by all of it; takes as long for a wrong one of a right id as for one that is right."""
        hashed = sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        known = {key.id: key for key in self.keys}
        key = known.get(_id_of(secret))
        is_right = hmac.compare_digest(hashed, key.hash if key else _NOBODYS)
        return key if is_right else None

    def add(self, name: str, *, tenant: str = "", rights: Sequence[Right]) -> str:
        """Make a key and give it; it cannot be read again.

        Raises:
            ConfigError: The tenant's name or the rights are none.
        """
        key_id = secrets.token_hex(4)
        secret = f"pp-{key_id}-{secrets.token_urlsafe(32)}"
        hashed, made = sha256(secret.encode()).hexdigest(), datetime.now(UTC).isoformat(timespec="seconds")
        try:
            key = Key(key_id, name, tenant, tuple(dict.fromkeys(rights)), hashed, made)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        with self._alone():
            self._write((*self.keys, key))
        return secret

    def revoke(self, key_id: str) -> Key:
        """Remove a key, for good.

        Raises:
            ConfigError: There is none of this id.
        """
        with self._alone():
            revoked = next((key for key in self.keys if key.id == key_id), None)
            if revoked is None:
                raise ConfigError(f"{self.path} holds no key {key_id!r}", hint="personaplug keys list shows their ids")
            self._write(tuple(key for key in self.keys if key.id != key_id))
        return revoked

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time change the keys, lest a change undo another's."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        # A link is not followed: root, who keeps the keys, could be led to another file.
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            give_as(descriptor, self.path.parent.stat())
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> tuple[Key, ...]:
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{self.path}: not a file of keys") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{self.path}: not a file of keys")
        return from_mapping(_Content, values, where=str(self.path)).keys

    def _write(self, keys: tuple[Key, ...]) -> None:
        """Put a new file in the old one's place, so that no reader sees half of it.

        What root writes belongs to whom the old one did; the first one, to whom the folder does: a server reads it.
        """
        with appearing(self.path) as fresh:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                give_as(descriptor, self.path.parent.stat())
                json.dump(asdict(_Content(keys)), file, indent=2)
                file.flush()
                os.fsync(file.fileno())


def _id_of(secret: str) -> str:
    parts = secret.split("-", maxsplit=2)
    return parts[1] if len(parts) == 3 else ""
