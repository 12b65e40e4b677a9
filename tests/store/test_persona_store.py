"""What a store does, wherever its tables are."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personaplug.errors import FingerprintMismatchError, StoreError, UnknownUserError
from personaplug.records import Profile
from personaplug.store import user_keys
from personaplug.store.base import text_hash
from personaplug.store.persona_store import PersonaStore, UserSummary
from tests.factories import START, make_item, make_items
from tests.store.fakes import LAYOUT, stack


@pytest.fixture
def store(address):
    with PersonaStore.open(address, layout=LAYOUT) as opened:
        yield opened


ITEMS = make_items("one", "two", "three")


def append(store, user, *items):
    return store.append(user, items, stack(items))


def test_what_was_appended_is_there_after_closing(address):
    with PersonaStore.open(address, layout=LAYOUT) as store:
        append(store, "ada", *ITEMS)
        version, identity = store.version, store.identity
    with PersonaStore.open(address) as store:
        assert (store.layout, store.version, store.identity) == (LAYOUT, version, identity)
        assert store.get("ada") == Profile("ada", ITEMS)


@given(text=st.text(), name=st.text(), time=st.datetimes(timezones=st.timezones(), allow_imaginary=False))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_text_id_and_moment_comes_back_as_it_was(store, text, name, time):
    item = replace(make_item(0, text, name), id=name, time=time)
    append(store, name, item)
    # In UTC, since a moment that a clock shows twice equals no moment of another zone (PEP 495).
    assert replace(item, time=time.astimezone(UTC)) in store.get(name).items
    assert not store.missing(name, [item])


@pytest.mark.parametrize("text", ["\0 after \0 NUL", "👩‍👩‍👧‍👦 \U0010ffff", "é" * 100_000, "'; DROP TABLE items; --"])
def test_odd_texts_come_back_as_they_were(store, text):
    item = make_item(0, text, text)
    append(store, text[:50], item)
    assert store.get(text[:50]).items == (item,)
    assert text_hash(text) in store.known([text_hash(text)])


@pytest.mark.parametrize("field", ["id", "input", "output"])
def test_half_a_character_is_our_error_and_stores_nothing(store, field):
    with pytest.raises(StoreError, match="half a character"):
        append(store, "ada", ITEMS[0], replace(ITEMS[1], **{field: "\ud83d"}))
    assert store.count() == 0


def test_half_a_character_in_a_user_id_is_our_error(store):
    with pytest.raises(StoreError, match="half a character"):
        append(store, "\ud83d", *ITEMS)


def test_moments_keep_their_microseconds_and_order_across_zones(store):
    east, utc = timezone(timedelta(hours=9)), datetime(2020, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    items = (
        replace(ITEMS[0], time=datetime(1969, 7, 20, 20, 17, 40, 123456, tzinfo=UTC)),
        replace(ITEMS[1], time=utc.astimezone(east)),
        replace(ITEMS[2], time=utc + timedelta(microseconds=1)),
    )
    append(store, "ada", *reversed(items))
    assert store.get("ada").items == items


def test_an_item_of_the_same_id_is_replaced_by_its_new_content_moment_and_vectors(store):
    append(store, "ada", *ITEMS)
    moved = replace(ITEMS[0], input="new", time=START + timedelta(days=9))
    assert append(store, "ada", moved) == 1
    assert store.get("ada").items == (*ITEMS[1:], moved)
    assert np.array_equal(store.vectors(Profile("ada", (moved,))), stack([moved]).astype(np.float16))
    assert not store.known([text_hash("one")])


TWINS = tuple(replace(make_item(1, f"twin {name}"), id=name) for name in ("710", "72", "9", "8"))


def test_items_of_one_moment_stand_as_they_were_appended_not_by_their_ids(store):
    append(store, "ada", make_item(2, "later"), *TWINS[:2])
    append(store, "ada", make_item(0, "earlier"), *TWINS[2:])
    assert store.get("ada").items == (make_item(0, "earlier"), *TWINS, make_item(2, "later"))


def test_an_item_that_changes_keeps_its_place_among_those_of_its_moment(store):
    append(store, "ada", *TWINS)
    changed = replace(TWINS[1], output="another answer")
    append(store, "ada", TWINS[3], changed)
    assert store.get("ada").items == (TWINS[0], changed, *TWINS[2:])


def test_an_append_of_items_already_there_keeps_their_vectors_and_the_version(store):
    append(store, "ada", *ITEMS)
    version = store.version
    assert store.append("ada", ITEMS, np.ones_like(stack(ITEMS))) == 0
    assert store.version == version
    assert np.array_equal(store.vectors(Profile("ada", ITEMS)), stack(ITEMS).astype(np.float16))


def test_of_an_id_given_twice_the_last_item_counts(store):
    first, last = make_item(0, "first"), make_item(0, "last")
    assert append(store, "ada", first, last) == 1
    assert store.get("ada").items == (last,)


@pytest.mark.parametrize(
    "vectors",
    [np.ones((3, 1, 8)), np.ones((2, 2, 8)), np.ones((3, 2, 7))],
    ids=lambda v: str(v.shape),
)
def test_vectors_of_another_shape_are_refused(store, vectors):
    with pytest.raises(StoreError, match="shape"):
        store.append("ada", ITEMS, vectors.astype(np.float32))
    assert list(store.users()) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_numbers_that_float16_cannot_hold_are_refused(store, value):
    vectors = stack(ITEMS)
    vectors[1, 1, 3] = value
    with pytest.raises(StoreError, match="not finite in float16"):
        store.append("ada", ITEMS, vectors)


def test_an_error_inside_undoes_all_that_was_appended_together(store):
    with pytest.raises(StoreError), store.together():  # noqa: PT012
        append(store, "ada", *ITEMS)
        store.append("bob", ITEMS, np.zeros((1, 1, 1), np.float32))
    assert (store.count(), store.version) == (0, 0)


def test_users_come_sorted_and_all_across_pages(store, monkeypatch):
    monkeypatch.setattr(user_keys, "USERS_A_PAGE", 2)
    names = ["b", "a", "", "ü", "Z", "c", "d"]
    for name in names:
        append(store, name, ITEMS[0])
    assert list(store.users()) == sorted(names)


def test_a_text_is_known_from_any_user_and_view(store):
    append(store, "ada", make_item(0, "shared", "out"))
    append(store, "bob", make_item(0, "shared", "x"))
    texts = ["shared", "out was the answer to shared", "x was the answer to shared"]
    found = store.known([*map(text_hash, texts), text_hash("x"), text_hash("shared")])
    assert found.keys() == set(map(text_hash, texts))
    ada = store.vectors(store.get("ada"))[0]
    assert np.array_equal(found[text_hash(texts[0])], ada[0])
    assert np.array_equal(found[text_hash(texts[1])], ada[1])


def test_a_summary_counts_and_dates_without_texts(store):
    append(store, "ada", *ITEMS)
    append(store, "bob", ITEMS[0])
    assert store.summary("ada") == UserSummary("ada", 3, START, START + timedelta(days=2))


def test_an_unknown_user_is_named(store):
    with pytest.raises(UnknownUserError, match="'ada'") as caught:
        store.get("ada")
    assert "persona list" in caught.value.hint


@pytest.mark.usefixtures("store")
def test_a_store_refuses_another_layout_and_says_what_to_name(address):
    other = replace(LAYOUT, fingerprint="fake@2")
    with pytest.raises(FingerprintMismatchError, match=r"'fake@1', not 'fake@2'") as caught:
        PersonaStore.open(address, layout=other)
    assert "--encoder" in caught.value.hint


def test_many_threads_may_make_one_store_at_once(address):
    def fill(user):
        with PersonaStore.open(address, layout=LAYOUT) as store:
            return append(store, f"user-{user % 4}", *ITEMS)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(fill, range(16))) == 4 * len(ITEMS)
    with PersonaStore.open(address) as store:
        assert store.count() == 4 * len(ITEMS)
