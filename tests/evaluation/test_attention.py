import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy, rankdata

from personaplug.evaluation.attention import ENTROPY_BINS, SLICES, AttentionSummary, ExampleAttention

histories = st.integers(2, 40).flatmap(
    lambda count: st.tuples(
        *(st.lists(st.integers(low, high), min_size=count, max_size=count) for low, high in ((1, 100), (0, 9), (-9, 9)))
    )
)


def measured(history):
    weights, ages, similarities = (np.array(column, dtype=float) for column in history)
    return weights / weights.sum(), ages, similarities


@settings(max_examples=40)
@given(histories)
def test_numbers_equal_those_of_scipy(history):
    weights, ages, similarities = measured(history)
    found = ExampleAttention.of(weights, ages, similarities)
    assert found.entropy == pytest.approx(entropy(weights) / np.log(len(weights)))
    assert found.effective_items == pytest.approx(np.exp(entropy(weights)))
    assert found.age_percentile == pytest.approx(weights @ (rankdata(ages) - 1) / (len(ages) - 1))
    assert found.similarity_lift == pytest.approx(np.average(similarities, weights=weights) - similarities.mean())


@settings(max_examples=40)
@given(histories)
def test_numbers_keep_their_bounds(history):
    found = ExampleAttention.of(*measured(history))
    assert -1e-9 <= found.entropy <= 1 + 1e-9
    assert 1 - 1e-9 <= found.effective_items <= len(history[0]) + 1e-9
    assert 0 <= found.age_percentile <= 1
    assert np.mean(found.by_age) == pytest.approx(1)
    assert np.mean(found.by_similarity) == pytest.approx(1)


@settings(max_examples=40)
@given(histories, st.randoms(use_true_random=False))
def test_the_order_of_items_is_irrelevant(history, random):
    rows = list(zip(*history, strict=True))
    shuffled = zip(*random.sample(rows, len(rows)), strict=True)
    first, second = (ExampleAttention.of(*measured(each)) for each in (history, shuffled))
    assert np.hstack([first.entropy, first.age_percentile, first.by_age, first.by_similarity]) == pytest.approx(
        np.hstack([second.entropy, second.age_percentile, second.by_age, second.by_similarity])
    )


@pytest.mark.parametrize("count", [2, 3, 10, 37])
def test_even_weights_are_of_fair_share_everywhere(count):
    found = ExampleAttention.of(np.full(count, 1 / count), np.arange(count) * 1.0, np.arange(count) * 0.1)
    assert (found.entropy, found.effective_items) == pytest.approx((1, count))
    assert (found.age_percentile, found.similarity_lift) == pytest.approx((0.5, 0))
    assert found.by_age == pytest.approx([1] * SLICES)


def test_all_weight_on_the_newest_item_shows_in_the_first_slice():
    weights, ages = np.array([0.0] * 9 + [1.0]), np.arange(10.0)[::-1]
    found = ExampleAttention.of(weights, ages, similarities=ages)
    assert (found.entropy, found.effective_items, found.age_percentile) == (0, 1, 0)
    assert found.by_age == pytest.approx([10, *[0] * 9])
    assert found.by_similarity == pytest.approx([10, *[0] * 9])
    assert found.similarity_lift == pytest.approx(-4.5)


@pytest.mark.parametrize("count", [0, 1])
def test_a_history_without_a_choice_is_refused(count):
    with pytest.raises(ValueError, match=f"{count} items"):
        ExampleAttention.of(*[np.ones(count)] * 3)


def test_a_summary_holds_means_and_counts_every_example_once():
    even = ExampleAttention.of(np.full(4, 0.25), np.arange(4.0), np.arange(4.0))
    sharp = ExampleAttention.of(np.array([1.0, 0, 0, 0]), np.arange(4.0), np.arange(4.0))
    summary = AttentionSummary.of([even, even, sharp])
    assert summary.examples == sum(summary.entropy_histogram) == 3
    assert len(summary.entropy_histogram) == ENTROPY_BINS
    assert (summary.entropy_histogram[0], summary.entropy_histogram[-1]) == (1, 2)
    assert summary.entropy == pytest.approx(2 / 3)
    assert summary.effective_items == pytest.approx((4 + 4 + 1) / 3)
    assert summary.by_age[0] == pytest.approx((1 + 1 + 4) / 3)


def test_persona_vectors_that_look_at_one_item_each_are_sharp_together():
    found = ExampleAttention.of(np.eye(4), np.arange(4.0), np.arange(4.0))
    assert (found.entropy, found.effective_items) == pytest.approx((0, 1))
    assert found.by_age == pytest.approx([1] * SLICES)
