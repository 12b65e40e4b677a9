"""Who may do what, and whose users they see."""

import logging
from dataclasses import dataclass
from typing import Protocol
from unicodedata import category

from personaplug.errors import ConfigError
from personaplug.serving.api.errors import ApiError
from personaplug.serving.api.keys import RIGHTS, Key, KeyFile, Right
from personaplug.serving.engine.limits import LONGEST_ID

log = logging.getLogger(__name__)

_BETWEEN = "\x1f"
"""Stands between tenant and user in the store's ids. No id that is accepted has it, so no caller can reach over it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a request.

    Attributes:
        key_id: By which key; empty where access is open.
        tenant: Whose users they see; empty for those of the store who have no tenant.
        rights: What they may do.
    """

    key_id: str
    tenant: str
    rights: tuple[Right, ...]

    def check(self, right: Right) -> None:
        """Refuse a caller without a right.

        Raises:
            ApiError: They lack it.
        """
        if right not in self.rights and "admin" not in self.rights:
            raise ApiError(403, f"This key lacks the right {right!r}.", code="missing_right")

    def stored(self, user: str) -> str:
        """Give the store's own id of a user, which no other tenant's user has.

        Raises:
            ApiError: The id is none.
        """
        check_id(user, "user")
        return f"{self.tenant}{_BETWEEN}{user}" if self.tenant else user


class Access(Protocol):
    """Knows callers by what they send."""

    def caller(self, authorization: str | None) -> Caller:
        """Tell who calls, by the header ``Authorization``.

        Raises:
            ApiError: Nobody who may, or who may is not known now.
        """


class KeyAccess:
    """Knows callers by their keys.

    Args:
        keys: The keys.
    """

    def __init__(self, keys: KeyFile) -> None:
        self.keys = keys
        self._told = ""

    def caller(self, authorization: str | None) -> Caller:
        """Tell who calls, by ``Bearer KEY``."""
        scheme, _, secret = (authorization or "").partition(" ")
        key = self._found(secret.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            challenge = {"WWW-Authenticate": "Bearer"}
            raise ApiError(401, "No valid API key was sent.", code="invalid_api_key", headers=challenge)
        return Caller(key.id, key.tenant, key.rights)

    def _found(self, secret: str) -> Key | None:
        """Find a key; where the file cannot be read, nobody is let in by what it held before."""
        try:
            found = self.keys.find(secret)
        except (OSError, ConfigError) as error:
            if self._told != str(error):
                self._told = str(error)
                log.error("nobody is let in: %s", error)
            raise ApiError(503, "The server cannot read its keys.", code="keys_unreadable") from error
        self._told = ""
        return found


class OpenAccess:
    """Lets everybody do everything, with the users who have no tenant; for this machine alone."""

    def caller(self, authorization: str | None) -> Caller:  # noqa: ARG002 (any key will do)
        """Take whoever calls."""
        return Caller("", "", RIGHTS)


def check_id(value: str, param: str) -> None:
    """Refuse an id that is empty, too long, or has signs in it that are no text.

    Raises:
        ApiError: It is one.
    """
    is_text = all(category(sign) not in ("Cc", "Cs") for sign in value)
    if not value.strip() or len(value) > LONGEST_ID or not is_text:
        message = f"An id has 1 to {LONGEST_ID} characters, none of them a control character."
        raise ApiError(400, message, code="invalid_id", param=param)
