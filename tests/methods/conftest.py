import pytest

from tests import tiny
from tests.world import encoder_in, make_examples, make_store, save_models


@pytest.fixture(scope="session", params=list(tiny.FAMILIES))
def family(request):
    return request.param


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    return save_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def store(models, tmp_path_factory):
    with make_store(tmp_path_factory.mktemp("store") / "store.db", encoder_in(models)) as store:
        yield store


@pytest.fixture(scope="session")
def examples(store):
    """Every user's question, asked of each with their own history; one of them has none."""
    return make_examples(store)
