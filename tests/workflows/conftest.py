import os
from contextlib import ExitStack
from functools import partial

import pytest

from personaplug.workflows.cluster import RayCluster


@pytest.fixture(scope="session")
def ray_connection():
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'personaplug[ray]'")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # as the commands do
    from personaplug.workflows import ray_connection

    return ray_connection


@pytest.fixture(scope="session")
def cluster(ray_connection):
    """Start a cluster as the commands do, of two workers and little memory."""
    with ExitStack() as opened:
        with pytest.MonkeyPatch.context() as patch:
            init = partial(ray_connection.ray.init, num_cpus=2, object_store_memory=200 << 20)
            patch.setattr(ray_connection.ray, "init", init)
            opened.enter_context(ray_connection.connected(None))
        yield RayCluster(actors=2)
