"""What every test runs under: checked shapes, repeatable hypotheses, one thread a worker, no network."""

import gc
import os
import socket
from importlib import import_module
from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("exploring", settings.get_profile("repeatable"), derandomize=False, max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "MPLBACKEND": "Agg"}
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    # What a checked room imports finds no compiled file: without this, 2,000 modules are compiled anew, 10 s a worker.
    for heavy in ("beartype", "matplotlib.pyplot", "peft", "scipy.stats", "torch", "transformers.trainer"):
        import_module(heavy)

# Read once, when a package is first imported. In no hook: a room's own conftest.py comes before the first of them.
CHECKED = (
    *("embedder", "backbone", "plug", "store", "evaluation", "reports"),
    *(f"rivals.learned_retrieval.{module}" for module in ("ranker", "selector", "run")),
    *(f"rivals.user_lora.{module}" for module in ("adapters", "adapter_folder", "run", "run_folder", "cost")),
)
install_import_hook([f"personaplug.{room}" for room in CHECKED], "beartype.beartype")


def pytest_collection_finish():
    """Keep what is imported by now out of every later collection: each training ends with one."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_network():
    """Refuse every connection that would leave the machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _refusing_outside(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _refusing_names(socket.getaddrinfo))
        yield


@pytest.fixture(scope="session")
def postgres():
    """Give a running Postgres server, this process's own."""
    from tests.postgres_server import postgres_server

    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def smollm2():
    """Give the path of the real language model, which ``make`` installs."""
    from personaplug.models.catalog import CATALOG
    from personaplug.models.places import find

    path = find(CATALOG["smollm2"])
    if path is None:
        pytest.skip("smollm2 is not on this machine: personaplug models add smollm2")
    return path


def _refusing_outside(connect):
    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            pytest.fail(f"a test tried to reach {address[0]}")
        return connect(self, address)

    return guarded


def _refusing_names(getaddrinfo):
    def guarded(host, *args, **kwargs):
        if host is not None and not _is_local(host):
            pytest.fail(f"a test tried to look up {host}")
        return getaddrinfo(host, *args, **kwargs)

    return guarded


def _is_local(host):
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name
        return False
