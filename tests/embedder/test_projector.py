import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.embedder.history import History
from personaplug.embedder.projector import Projector
from tests.embedder.histories import DIM, LLM_DIM, VIEWS, few, pack, random_histories


def projector(*, views=VIEWS, normalize=False):
    torch.manual_seed(0)
    return Projector(views, DIM, llm_dim=LLM_DIM, normalize=normalize)


def linear(layer, vector):
    """Apply a linear layer in double precision."""
    return layer.weight.double() @ vector.double() + layer.bias.double()


def gelu(vector):
    """The Gaussian error linear unit by its definition (arXiv 1606.08415)."""
    return torch.tensor([0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in vector.tolist()], dtype=torch.float64)


@few
@given(count=st.integers(1, 8), views=st.integers(1, VIEWS), seed=st.integers(0, 99))
def test_projecting_the_sum_equals_summing_the_projected(count, views, seed):
    model = projector(views=views)
    (history,) = random_histories([count], seed=seed)
    weights = torch.rand(count, generator=torch.Generator().manual_seed(seed)).softmax(dim=-1)
    naive = torch.zeros(LLM_DIM, dtype=torch.float64)
    for weight, item in zip(weights, history.vectors, strict=True):
        naive += weight.double() * linear(model.outer, gelu(linear(model.inner, item[:views].flatten())))
    result = model(weights[None, None], pack(history))[0, 0]
    torch.testing.assert_close(result.double(), naive, atol=1e-6, rtol=1e-5)


def test_views_beyond_those_asked_for_have_no_influence():
    (history,) = random_histories([4], seed=1)
    changed = History(history.vectors.clone(), history.ages)
    changed.vectors[:, 1] = 7.0
    weights = torch.full((1, 1, 4), 0.25)
    model = projector(views=1)
    assert torch.equal(model(weights, pack(history)), model(weights, pack(changed)))


def test_normalizing_gives_every_view_unit_variance_before_the_first_layer():
    (history,) = random_histories([3], seed=1)
    seen = []
    model = projector(normalize=True)
    model.inner.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.full((1, 1, 3), 1 / 3), pack(history))
    views = seen[0].unflatten(-1, (VIEWS, DIM))
    torch.testing.assert_close(views.mean(dim=-1), torch.zeros(1, 3, VIEWS), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(views.var(dim=-1, unbiased=False), torch.ones(1, 3, VIEWS), atol=1e-3, rtol=0.0)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_view_without_text_stays_all_zeros(normalize):
    empty = History(torch.zeros(1, VIEWS, DIM), torch.zeros(1))
    seen = []
    model = projector(normalize=normalize)
    model.inner.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.ones(1, 1, 1), pack(empty))
    assert not seen[0].any()


def test_measuring_the_typical_norm_repeats_and_leaves_the_global_seed_alone():
    model = projector()
    torch.manual_seed(5)
    first = model.typical_norm()
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)
    assert model.typical_norm() == first
