import httpx2
import pytest

from tests.serving.running import running, save_runs
from tests.world import save_models


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Runs and a store, which no test may change but by way of a server."""
    folder = tmp_path_factory.mktemp("served")
    return save_runs(folder, save_models(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="session")
def server(place, tmp_path_factory):
    """The one server of all tests; each changes users of its own alone."""
    with running(place, tmp_path_factory.mktemp("keys")) as server:
        yield server


@pytest.fixture(scope="session")
def http(server):
    """Call the server as any program would."""
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def client(server):
    """OpenAI's own client, whose key has no tenant and all rights."""
    with server.client() as client:
        yield client
