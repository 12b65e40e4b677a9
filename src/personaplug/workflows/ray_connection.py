"""A Ray cluster joined or started, and how much room it has. Only the modules that begin with ``ray`` import Ray."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import ray

from personaplug.errors import ClusterError

_SECONDS = 10.0
"""How long the head of a cluster may take to answer."""


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Join a cluster, or start one on this machine that ends with this.

    Args:
        address: ``HOST:PORT`` of the cluster's head, or ``auto`` on a machine of the cluster; None starts one, or takes
            the connection that this process has.

    Raises:
        ClusterError: It cannot be joined or started.
    """
    if address is None and ray.is_initialized():
        yield
        return
    with ExitStack() as settings:
        where = settings.enter_context(_own_cluster()) if address is None else {"address": _checked(address)}
        for library in ("ray.data", "ray.train"):  # what they tell of errors may hold texts
            logging.getLogger(library).setLevel(logging.CRITICAL)
        try:
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises just that where its own processes do not start in time
            raise _not_joined(address or "of this machine", str(error).partition("\n")[0]) from error
        settings.callback(ray.shutdown)
        yield


@dataclass(frozen=True, slots=True)
class Room:
    """How many actors, and how much of a machine each of them takes."""

    actors: int
    cpus: int
    gpus: int


def room_for(actors: int | None, *, each: str, option: str) -> Room:
    """Find room for actors in the cluster: a GPU for each where there are any, else a CPU.

    Args:
        actors: How many; None for as many as there is room for.
        each: What an actor is, for the error.
        option: Which option says how many, for the error.

    Raises:
        ClusterError: There are too few.
    """
    has = ray.cluster_resources()
    gpus, cpus = int(has.get("GPU", 0)), int(has.get("CPU", 0))
    most, unit = (gpus, "GPU") if gpus else (cpus, "CPU")
    if not most or (actors or 1) > most:
        raise ClusterError(
            f"the cluster has {most} {unit}s, one for each {each}, too few for {actors or 1}",
            hint=f"at most {option} {most}" if most else "add a machine to it",
        )
    return Room(actors or most, cpus=1, gpus=min(gpus, 1))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Go through an error that Ray hands on, and what lies behind it."""
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or error.__cause__


@contextmanager
def _own_cluster() -> Iterator[dict[str, object]]:
    """Give what starts a cluster on this machine, whose files (texts are among them) are gone in the end."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Not in TMPDIR, which may be long: sockets stand in it, whose paths have at most 107 characters.
    with TemporaryDirectory(prefix="personaplug-ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield {
            "address": "local",
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
            "_temp_dir": folder,
            "_system_config": {"worker_niceness": 0},  # by Ray's own way whatever else runs here comes first
        }


def _checked(address: str) -> str:
    """Refuse an address where nothing answers: Ray itself would try for minutes."""
    if address == "auto":
        return address
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdecimal():
        raise ClusterError(
            f"{address!r} is no address of a Ray cluster",
            hint="HOST:PORT of its head, or auto; --ray alone stands behind LOG, or before another option",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _not_joined(address, str(error)) from error
    return address


def _not_joined(address: str, reason: str) -> ClusterError:
    return ClusterError(
        f"the Ray cluster {address} cannot be joined: {reason}",
        hint="see `ray status` on its head, and whether it wants a token: export RAY_AUTH_MODE=token",
    )
