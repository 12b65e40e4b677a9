"""What goes wrong with Postgres, told in words a person can act on, without the server's: they may quote a user's text.

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolTimeout

from personaplug.errors import StoreAwayError, StoreError
from personaplug.store.address import PostgresUrl

DAMAGED = "the store's tables are damaged"
RESTORE = (
    "restore a backup into a new schema, or index the log again: personaplug index LOG --task TASK --store ADDRESS"
)
BUSY = "another process is using the store"

NOT_ALLOWED = ("this role may not do that", "connect as the role that made the store, or have it granted")

_FAILED_TO_CONNECT = "connection failed: "
_FAILED_TO_RESOLVE = "failed to resolve host "
_REPEAT = "repeat when it is done"
_AWAY = ("the server cannot be reached or has closed the connection", "see that it runs, then repeat the command")
_FAILED = ("the server failed; whether the last change was stored is not known", "see its log, then repeat the command")

REASONS = {
    "53100": ("the server's disk is full; this change was not stored", "free some space there and repeat"),
    "53300": ("the server has no connection left", "raise max_connections, or close other programs"),
    "42501": NOT_ALLOWED,
    "54000": ("an id is too long for an index of Postgres", "ids may have about 2,600 bytes"),
    "25006": ("the server is a standby or for reading alone", "connect to the primary"),
    "55P03": (BUSY, _REPEAT),
    "40": (BUSY, _REPEAT),
    "28": ("the server refuses this role or its password", "see the user in the address; PGPASSWORD or ~/.pgpass"),
    "3D": ("there is no such database", "make it: createdb NAME"),
    "42": (DAMAGED, RESTORE),
    "22": (DAMAGED, RESTORE),
    "23": (DAMAGED, RESTORE),
    "XX": (DAMAGED, RESTORE),
    "08": _AWAY,
    "57": _AWAY,
}
"""By code, or by its first two characters, a class of codes."""


@contextmanager
def told(url: PostgresUrl) -> Iterator[None]:
    """Turn psycopg's errors into ours."""
    try:
        yield
    except psycopg.Error as error:
        reason, hint = said = _reason(error)
        kind = StoreAwayError if said == _AWAY else StoreError
        raise kind(f"{url}: {reason}", hint=hint) from error
    except UnicodeEncodeError as error:
        reason = "a text or an id holds half a character (a lone surrogate)"
        raise StoreError(f"{url}: {reason}", hint="mend the log, or leave the row out") from error


def not_connected(url: PostgresUrl, error: psycopg.Error) -> StoreError:
    """Make the error for a first connection that failed, in libpq's own words where no password can stand in them."""
    words = str(error).partition("\n")[0]
    if not words.startswith((_FAILED_TO_CONNECT, _FAILED_TO_RESOLVE)):
        return StoreError(f"{url}: the address cannot be used", hint="see its options: host, port, sslmode and so on")
    reason = words.removeprefix(_FAILED_TO_CONNECT)
    hint = "see that the server runs, and the address; the password may stand in PGPASSWORD or ~/.pgpass"
    return StoreError(f"{url}: {reason}", hint="make it: createdb NAME" if "does not exist" in reason else hint)


def is_lost(error: psycopg.Error) -> bool:
    """Tell whether the connection is gone, so that what a statement began must begin again on another."""
    state = error.sqlstate
    if isinstance(error, PoolTimeout):
        return False
    return isinstance(error, psycopg.OperationalError) and (state is None or state[:2] in ("08", "57"))


def _reason(error: psycopg.Error) -> tuple[str, str]:
    state = error.sqlstate or ""
    if not state:
        return _AWAY if isinstance(error, psycopg.OperationalError) else (DAMAGED, RESTORE)
    return REASONS.get(state) or REASONS.get(state[:2]) or _FAILED
