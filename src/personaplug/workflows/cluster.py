"""A Ray cluster as a workflow is told of it, where Ray may not be installed."""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from personaplug.errors import MissingExtraError

_RAYS = "ray", "pyarrow", "pandas", "pydantic"


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Machines that encode, or train.

    Attributes:
        address: ``HOST:PORT`` of the cluster's head, or ``auto`` on a machine of it; None to start one on this machine,
            or to use the connection that Python has.
        actors: How many encoders, or processes that train, side by side; None for one on each GPU or, where there is
            none, on each CPU.
    """

    address: str | None = None
    actors: int | None = None


def on_ray(module: str, *, feature: str) -> ModuleType:
    """Import what needs Ray.

    Args:
        module: Of this room.
        feature: What it does, as a person would say it.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    try:
        return import_module(f"{__package__}.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _RAYS:
            raise
        raise MissingExtraError(feature, extra="ray") from error
