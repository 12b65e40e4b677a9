import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.embedder.aggregator import Aggregator
from personaplug.embedder.history import History
from tests.embedder.histories import as_if_trained, few, pack, random_histories, random_queries

PERSONAS = 3


def aggregator(*, temperature=1.0):
    return Aggregator(PERSONAS, temperature=temperature, learn_temperature=True, use_recency=True)


def queries(batch, *, seed):
    return random_queries(batch * PERSONAS, seed=seed).reshape(batch, PERSONAS, -1)


@few
@given(counts=st.lists(st.integers(0, 7), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_weights_sum_to_one_over_real_items_and_are_zero_elsewhere(counts, seed):
    history = pack(*random_histories(counts, seed=seed))
    weights = as_if_trained(aggregator(), seed=seed)(queries(len(counts), seed=seed), history)
    expected = torch.tensor([[float(count > 0)] * PERSONAS for count in counts])
    torch.testing.assert_close(weights.sum(dim=-1), expected)
    assert not weights[~history.mask[:, None, :].expand_as(weights)].any()
    assert (weights >= 0).all()


@few
@given(count=st.integers(1, 9), seed=st.integers(0, 99))
def test_temperature_one_without_recency_is_the_plain_softmax_of_the_paper(count, seed):
    (history,) = random_histories([count], seed=seed)
    asked = queries(1, seed=seed)
    weights = aggregator()(asked, pack(history))
    for persona in range(PERSONAS):
        scores = [math.exp(float(asked[0, persona] @ key)) for key in history.vectors[:, 0]]
        by_hand = torch.tensor([score / sum(scores) for score in scores])
        torch.testing.assert_close(weights[0, persona], by_hand)


def test_a_lower_temperature_gives_the_best_match_more_weight():
    history = pack(*random_histories([6], seed=3))
    asked = queries(1, seed=3)
    soft, sharp = aggregator(temperature=1.0)(asked, history), aggregator(temperature=0.1)(asked, history)
    assert (sharp.amax(dim=-1) > 2 * soft.amax(dim=-1)).all()
    assert torch.equal(sharp.argmax(dim=-1), soft.argmax(dim=-1))


@pytest.mark.parametrize(("slope", "younger_wins"), [(0.5, True), (-0.5, False)])
def test_a_positive_recency_prefers_the_younger_of_two_equal_items(slope, younger_wins):
    (one,) = random_histories([1], seed=0)
    twins = History(one.vectors.expand(2, -1, -1), torch.tensor([400.0, 3.0]))
    model = aggregator()
    torch.nn.init.constant_(model.recency, slope)
    old, young = model(queries(1, seed=0), pack(twins))[0, 0]
    assert bool(young > old) == younger_wins


def test_what_is_not_learned_takes_no_gradient():
    model = Aggregator(1, temperature=1.0, learn_temperature=False, use_recency=False)
    assert not any(weight.requires_grad for weight in model.parameters())


def test_similarities_are_compared_in_float32_whatever_comes_in():
    history = pack(*random_histories([5], seed=2))
    assert aggregator()(queries(1, seed=2).bfloat16(), history).dtype == torch.float32
