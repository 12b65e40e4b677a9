import pytest

from personaplug.store.persona_store import PersonaStore
from tests.store.fakes import LAYOUT


@pytest.fixture
def path(tmp_path):
    return tmp_path / "personas.db"


@pytest.fixture(params=["sqlite", "postgres"])
def address(request, tmp_path):
    """Where a store may be, of either kind."""
    return tmp_path / "personas.db" if request.param == "sqlite" else request.getfixturevalue("postgres").url()


@pytest.fixture
def url(postgres):
    return postgres.url()


@pytest.fixture
def store(path):
    with PersonaStore.open(path, layout=LAYOUT) as opened:
        yield opened
