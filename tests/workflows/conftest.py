import os
from contextlib import ExitStack
from functools import partial
from importlib import import_module

import pytest

from personaplug.workflows.cluster import RayCluster


def _on_ray(name):
    """Give the fixture of a module that imports Ray."""

    @pytest.fixture(scope="session", name=name)
    def module():
        pytest.importorskip("ray", reason="Ray is not installed: pip install 'personaplug[ray]'")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # as the commands do
        return import_module(f"personaplug.workflows.{name}")

    return module


ray_connection, ray_encoding, ray_training = map(_on_ray, ("ray_connection", "ray_encoding", "ray_training"))


SOON = {"health_check_period_ms": 500, "health_check_timeout_ms": 5000, "health_check_failure_threshold": 2}
"""When a machine counts as lost: Ray's own patience is a quarter of a minute."""


@pytest.fixture(scope="session")
def cluster(ray_connection):
    """Start a cluster as the commands do, of two workers, with little memory and little patience."""
    with ExitStack() as opened:
        with pytest.MonkeyPatch.context() as patch:
            init = partial(ray_connection.ray.init, num_cpus=2, object_store_memory=200 << 20, _system_config=SOON)
            patch.setattr(ray_connection.ray, "init", init)
            opened.enter_context(ray_connection.connected(None))
        yield RayCluster(actors=2)
