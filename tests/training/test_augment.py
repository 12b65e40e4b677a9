from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from personaplug.records import Example, Profile
from personaplug.training.augment import drop_history, without_history
from tests.factories import START, make_items


def example(count):
    items = make_items(*(f"item {number}" for number in range(count)))
    return Example("1", Profile("ada", items), "a question", "an answer", START)


@given(count=st.integers(0, 40), seed=st.text(max_size=5))
def test_at_least_half_of_a_history_is_kept_in_its_order(count, seed):
    whole = example(count)
    seen = drop_history(whole, seed=seed)
    kept = seen.profile.items
    assert count / 2 <= len(kept) <= count
    assert kept == tuple(item for item in whole.profile.items if item in set(kept))
    assert replace(seen, profile=whole.profile) == whole


@given(count=st.integers(0, 2), seed=st.text(max_size=5))
def test_two_items_or_fewer_all_stay(count, seed):
    assert drop_history(example(count), seed=seed) == example(count)


@given(seed=st.text(max_size=5))
def test_the_same_seed_keeps_the_same_items(seed):
    assert drop_history(example(9), seed=seed) == drop_history(example(9), seed=seed)


def test_other_seeds_keep_other_items_and_every_number_of_them_from_half_to_all():
    seen = [drop_history(example(6), seed=str(seed)).profile.items for seed in range(200)]
    assert {len(items) for items in seen} == {3, 4, 5, 6}
    assert len(set(seen)) > 30
    assert set().union(*seen) == set(example(6).profile.items)


@given(count=st.integers(0, 9), seed=st.text(max_size=5))
def test_a_draw_has_its_history_whole_or_none_and_all_else_stays(count, seed):
    whole = example(count)
    seen = without_history(whole, share=0.5, seed=seed)
    assert seen.profile.items in {whole.profile.items, ()}
    assert seen == without_history(whole, share=0.5, seed=seed)
    assert replace(seen, profile=whole.profile) == whole
    assert without_history(whole, share=0.0, seed=seed) == whole


def test_so_many_draws_as_are_asked_for_have_no_history():
    seen = [without_history(example(3), share=0.1, seed=str(seed)) for seed in range(2000)]
    assert 150 <= sum(not each.profile.items for each in seen) <= 250
