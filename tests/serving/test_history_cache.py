import numpy as np
import pytest

from personaplug.errors import StoreError
from personaplug.records import Profile
from personaplug.serving.engine.history_cache import HistoryCache
from personaplug.serving.engine.metrics import Metrics
from personaplug.store.persona_store import PersonaStore
from tests.factories import make_item
from tests.serving.running import copy_of


@pytest.fixture
def store(place, tmp_path):
    with PersonaStore.open(copy_of(place, tmp_path / "copy").store) as store:
        yield store


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def personas(store, metrics):
    return HistoryCache(store, metrics=metrics)


def lookups(metrics):
    value = metrics.registry.get_sample_value
    return [int(value("personaplug_persona_lookups_total", {"result": each}) or 0) for each in ("hit", "miss")]


def append(store, user, day):
    dim, views = store.layout.dim, len(store.layout.views)
    store.append(user, [make_item(day, "new", "yes")], np.ones((1, views, dim), np.float32) / dim**0.5)


def test_what_is_remembered_is_what_the_store_holds(personas, store, metrics):
    for _ in range(2):
        for user in ("ada", "dee"):
            profile = personas.get(user)
            assert profile == store.get(user)
            for part in (profile, profile.latest(5), profile.latest(0)):
                assert np.array_equal(personas.vectors(part), store.vectors(part))
    assert lookups(metrics) == [2, 2]


@pytest.mark.parametrize("change", [lambda store: append(store, "ada", 50), lambda store: store.forget("ada")])
def test_a_change_by_another_connection_is_seen_after_a_refresh(personas, store, change):
    before = personas.get("ada")
    with PersonaStore.open(store.path) as other:
        change(other)
    personas.refresh()
    assert personas.get("ada") != before
    assert personas.vectors(personas.get("ada")).shape[0] == len(personas.get("ada").items)


def test_without_a_change_a_refresh_keeps_what_is_remembered(personas, metrics):
    personas.get("ada")
    personas.refresh()
    personas.get("ada")
    assert lookups(metrics) == [1, 1]


def test_an_unknown_user_has_an_empty_history_and_no_place(personas, metrics):
    assert personas.get("nobody") == personas.get("nobody") == Profile("nobody")
    assert lookups(metrics) == [0, 2]


def test_the_longest_unasked_leaves_first(store, metrics):
    # dee has 30 items, cyd 7, ada 1, ben 2, of two views of 16 numbers and some 20 characters each
    personas = HistoryCache(store, capacity=38 * (400 + 64 + 22), metrics=metrics)
    for user in ("dee", "cyd", "ada", "dee", "ben", "dee", "cyd"):
        personas.get(user)
    assert lookups(metrics) == [2, 5]


def test_vectors_of_a_history_that_is_not_stored_are_an_error(personas):
    with pytest.raises(StoreError):
        personas.vectors(Profile("ada", (make_item(99),)))
