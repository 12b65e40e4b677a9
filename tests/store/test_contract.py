"""What every source of vectors keeps to."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personaplug.errors import StoreError
from personaplug.records import Profile
from personaplug.store.persona_store import PersonaStore
from tests.factories import START, make_item, make_items
from tests.store.fakes import LAYOUT, stack

ITEMS = make_items("one", "two", "three", "four", "five", "six")
OTHERS = make_items("uno", "two")
TWINS = tuple(replace(make_item(0, f"twin {name}"), id=name) for name in "cab")


@pytest.fixture(params=["sqlite", "sqlite's bank", "postgres", "postgres' bank"], scope="module")
def source(request, tmp_path_factory):
    folder, in_postgres = tmp_path_factory.mktemp("source"), request.param.startswith("postgres")
    address = request.getfixturevalue("postgres").url() if in_postgres else folder / "personas.db"
    with PersonaStore.open(address, layout=LAYOUT) as store:
        for user, items in {"ada": ITEMS, "bob": OTHERS, "": OTHERS[:1], "twins": TWINS}.items():
            store.append(user, items, stack(items))
        yield store.snapshot(folder / "bank") if request.param.endswith("bank") else store


def expected(items):
    return stack(items).astype(np.float16)


def test_the_layout_is_the_one_it_was_made_with(source):
    assert source.layout == LAYOUT


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=st.sets(st.sampled_from(range(len(ITEMS)))))
def test_any_part_of_a_history_comes_in_the_profiles_order(source, wanted):
    items = tuple(ITEMS[row] for row in sorted(wanted))
    vectors = source.vectors(Profile("ada", items))
    assert vectors.dtype == np.float16
    assert vectors.shape == (len(items), 2, LAYOUT.dim)
    assert np.array_equal(vectors, expected(items))


@given(order=st.permutations(TWINS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_items_of_one_moment_come_in_the_profiles_order(source, order):
    assert np.array_equal(source.vectors(Profile("twins", tuple(order))), expected(order))


def test_users_do_not_mix_though_their_items_share_ids(source):
    assert np.array_equal(source.vectors(Profile("bob", OTHERS)), expected(OTHERS))
    assert np.array_equal(source.vectors(Profile("", OTHERS[:1])), expected(OTHERS[:1]))


@pytest.mark.parametrize("user", ["ada", "nobody"])
def test_an_empty_profile_has_no_vectors_whoever_it_is(source, user):
    assert source.vectors(Profile(user)).shape == (0, 2, LAYOUT.dim)


@pytest.mark.parametrize("user", ["ada", "nobody", "bob"])
def test_a_missing_item_is_named_with_what_to_do_and_no_text(source, user):
    items = (ITEMS[0], replace(ITEMS[1], id="lost", input="a secret"))
    with pytest.raises(StoreError) as caught:
        source.vectors(Profile(user, items))
    assert "history item" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "personaplug index" in caught.value.hint


@pytest.mark.parametrize("user", [f"stranger-{number}" for number in range(9)])
def test_a_stranger_never_gets_the_vectors_of_another_users_item_of_that_id(source, user):
    with pytest.raises(StoreError, match="history item '0'"):
        source.vectors(Profile(user, ITEMS[:1]))


def test_an_item_beyond_the_latest_is_missing(source):
    later = replace(ITEMS[-1], id="7", time=START + timedelta(days=7))
    with pytest.raises(StoreError, match="'7'"):
        source.vectors(Profile("ada", (*ITEMS, later)))


def test_the_array_is_the_callers_own(source):
    profile = Profile("ada", ITEMS)
    source.vectors(profile)[:] = 0
    assert np.array_equal(source.vectors(profile), expected(ITEMS))
