import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.embedder import projector as projector_file
from personaplug.embedder.history import History
from personaplug.embedder.projector import Projector
from personaplug.embedder.weighted_sums import weighted_sums
from tests.embedder.histories import DIM, LLM_DIM, VIEWS, few, pack, random_histories


def projector(*, views=VIEWS, normalize=False):
    torch.manual_seed(0)
    return Projector(views, DIM, llm_dim=LLM_DIM, normalize=normalize)


def linear(layer, vector):
    """Apply a linear layer in double precision."""
    return layer.weight.double() @ vector.double() + layer.bias.double()


def what_is_read(model, weights, batch):
    """Give what the first Linear reads, with gradients and without."""
    seen = []

    def reading(weights, values, **more):
        seen.append(values)
        return weighted_sums(weights, values, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projector_file, "weighted_sums", reading)
        model(weights, batch)
        with torch.no_grad():
            model(weights, batch)
    trained, answered = seen
    assert torch.equal(trained, answered)
    return trained


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
    read = what_is_read(projector(normalize=True), torch.full((1, 1, 3), 1 / 3), pack(history))
    views = read.unflatten(-1, (VIEWS, DIM))
    torch.testing.assert_close(views.mean(dim=-1), torch.zeros(3, VIEWS), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(views.var(dim=-1, unbiased=False), torch.ones(3, VIEWS), atol=1e-3, rtol=0.0)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_view_without_text_stays_all_zeros(normalize):
    empty = History(torch.zeros(1, VIEWS, DIM), torch.zeros(1))
    read = what_is_read(projector(normalize=normalize), torch.ones(1, 1, 1), pack(empty))
    assert not read.any()


def test_padding_is_never_projected():
    batch = pack(*random_histories([5, 0, 1], seed=1))
    assert len(what_is_read(projector(), torch.zeros(3, 1, 5), batch)) == 6


def test_measuring_the_typical_norm_repeats_and_leaves_the_global_seed_alone():
    model = projector()
    torch.manual_seed(5)
    first = model.typical_norm()
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)
    assert model.typical_norm() == first


def centered():
    torch.manual_seed(0)
    return Projector(VIEWS, DIM, llm_dim=LLM_DIM, normalize=True, is_centered=True)


def evenly(history):
    """Weigh the items of each history alike, for one persona."""
    return (history.mask / history.mask.sum(dim=1, keepdim=True).clamp(min=1))[:, None].float()


@few
@given(counts=st.lists(st.integers(1, 6), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_what_the_first_batch_has_in_common_is_taken_off_and_empty_histories_do_not_count(counts, seed):
    with_empty = pack(*random_histories([*counts, 0], seed=seed))
    personas = centered()(evenly(with_empty), with_empty)[:-1]
    torch.testing.assert_close(personas.mean(dim=(0, 1)), torch.zeros(LLM_DIM), atol=1e-5, rtol=0.0)
    assert personas.abs().max() > 1e-3


def test_only_training_moves_what_is_common():
    model, (first, second) = centered(), (pack(*random_histories([3, 4], seed=seed)) for seed in (1, 2))
    model(evenly(first), first)
    before = model.common.mean.clone()
    with torch.no_grad():
        model(evenly(second), second)
    model.eval()(evenly(second), second)
    assert torch.equal(model.common.mean, before)
    model.train()(evenly(second), second)
    assert not torch.allclose(model.common.mean, before)


def test_two_batches_may_wait_for_one_backward_pass():
    model, batch = centered(), pack(*random_histories([3, 4], seed=1))
    (model(evenly(batch), batch) + model(evenly(batch), batch)).sum().backward()
    assert model.inner.weight.grad.isfinite().all()


def test_the_largest_gradient_is_made_when_those_of_the_items_are_done():
    model, order = projector(), []
    for name in ("inner", "outer"):
        getattr(model, name).weight.register_hook(lambda _, name=name: order.append(name))
    batch = pack(*random_histories([3, 2], seed=0))
    weights = torch.rand(2, 1, 3) * batch.mask[:, None]
    model(weights, batch).sum().backward()
    assert order == ["inner", "outer"]
