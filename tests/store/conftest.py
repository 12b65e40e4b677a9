import pytest

from personaplug.store.sqlite import PersonaStore
from tests.store.fakes import LAYOUT


@pytest.fixture
def path(tmp_path):
    return tmp_path / "personas.db"


@pytest.fixture
def store(path):
    with PersonaStore.open(path, layout=LAYOUT) as opened:
        yield opened
