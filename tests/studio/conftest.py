"""A studio of the small world: tiny models, and a fresh store for every test."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from personaplug.backbone.base import GenerationConfig
from personaplug.plug.model import build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.store.persona_store import PersonaStore
from personaplug.studio.session import Session
from personaplug.studio.studio import Studio
from tests import world
from tests.world import models  # noqa: F401 (fixture)

SHORT = GenerationConfig(max_new_tokens=24)
QUESTION = "your own view about x"


@pytest.fixture(scope="session")
def encoder(models):  # noqa: F811
    return world.encoder_in(models)


@pytest.fixture(scope="session")
def filled(encoder, tmp_path_factory):
    """The file of a store that is only read; closed once, so that all of it is in this one file."""
    with world.make_store(tmp_path_factory.mktemp("filled") / "store.db", encoder) as store:
        return store.path


@pytest.fixture(scope="session")
def plug(models, filled):  # noqa: F811
    """A plug that tells users apart; the studios of the tests share its weights."""
    with PersonaStore.open(filled) as store:
        yield world.as_if_trained(
            build_plug(world.make_run(models, "decoder-only"), world.TASK, store=store, query_source=QuerySource.STORE)
        )


@pytest.fixture
def path(filled, tmp_path):
    """A store of the test's own."""
    return Path(shutil.copy(filled, tmp_path / "personas.db"))


@pytest.fixture
def store(path):
    with PersonaStore.open(path) as opened:
        yield opened


@pytest.fixture
def studio(plug, encoder, store):
    return Studio(plug.over(store, encoder), encoder, decoding=SHORT)


@pytest.fixture
def session(studio):
    started = Session(studio)
    yield started
    started.close()


@pytest.fixture
def opening(plug, encoder, path):
    """Open the store in whichever thread enters."""

    @contextmanager
    def opened():
        with PersonaStore.open(path) as store:
            yield Studio(plug.over(store, encoder), encoder, decoding=SHORT)

    return opened()
