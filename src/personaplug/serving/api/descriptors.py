"""How many connections a process has room for, each of which is an open file to the system."""

import resource

from personaplug.errors import ConfigError

ACCEPTED_AT_ONCE = 64
"""Connections that are taken in before the first of them can be closed again."""

_MOST = 2_048
_OWN = 128  # the store's files, the models', the threads' and the event loop's
_TURNS = 4  # of the event loop, from when a connection is taken in to when it is closed
_LEAST = 16


def room_for_connections(*, beside: int = 0) -> int:
    """Raise the limit of open files as far as it is needed and may be, and say how many connections it leaves.

    Args:
        beside: Connections to others.

    Raises:
        ConfigError: Hardly any.
    """
    taken = _OWN + beside + _TURNS * ACCEPTED_AT_ONCE
    limit = _raised(taken + _MOST)
    if limit - taken < _LEAST:
        raise ConfigError(
            f"this process may open {limit} files, of which a server needs {taken} for itself",
            hint=f"ulimit -n {taken + _MOST}",
        )
    return min(_MOST, limit - taken)


def _raised(wanted: int) -> int:
    """Raise the soft limit to what is wanted, or to the hard one; give what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    except (ValueError, OSError):
        return soft  # some systems have a lower bound than they say
    return limit
