"""``--ray``: whether a Ray cluster works, and which."""

import os
from typing import TYPE_CHECKING

import click

from personaplug.cli.options import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from personaplug.workflows.cluster import RayCluster

_OWN = "local"
"""The address that --ray has without one, as Ray calls it."""


def ray_option(what: str) -> "Callable[[Command], Command]":
    """Make the option.

    Args:
        what: What it has done, for its help: the beginning of a sentence that goes on with ``on a Ray cluster``.
    """
    return click.option(
        "--ray",
        "ray_address",
        metavar="[ADDRESS]",
        is_flag=False,
        flag_value=_OWN,
        help=f"{what} on a Ray cluster: HOST:PORT of its head, or auto; without an address one starts on this machine.",
    )


def cluster_at(address: str, actors: int | None) -> "RayCluster":
    """Name the cluster at an address that the option has, and how many are to work side by side."""
    from personaplug.workflows.cluster import RayCluster

    # Read where Ray is imported: it warns of what is meant to be.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    return RayCluster(None if address == _OWN else address, actors)
