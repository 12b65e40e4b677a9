import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from personaplug.embedder import weighted_sums as memories
from personaplug.embedder.weighted_sums import weighted_sums
from tests.embedder.histories import few

PERSONAS, WIDTH, LLM_DIM = 2, 3, 4

batches = st.lists(st.integers(0, 5), min_size=1, max_size=5)


def made(counts, *, seed, wants_gradients=False):
    """Weights, values and a Linear, in double precision."""
    draw = torch.Generator().manual_seed(seed)
    weights = torch.rand(sum(counts), PERSONAS, generator=draw, dtype=torch.float64)
    values = torch.randn(sum(counts), WIDTH, generator=draw, dtype=torch.float64)
    torch.manual_seed(seed)
    linear = nn.Linear(WIDTH, LLM_DIM, dtype=torch.float64)
    return weights.requires_grad_(wants_gradients), values.requires_grad_(wants_gradients), linear


def naive(weights, values, linear, counts):
    """The formula, user by user and item by item."""
    rows = iter(range(len(values)))
    sums = torch.zeros(len(counts), PERSONAS, LLM_DIM, dtype=torch.float64)
    for user, count in enumerate(counts):
        for _, row in zip(range(count), rows, strict=False):
            sums[user] += weights[row][:, None] * functional.gelu(linear(values[row]))
    return sums


@few
@given(counts=batches, at_once=st.integers(1, 20), seed=st.integers(0, 99))
def test_sums_are_those_of_the_formula_however_many_items_stand_together(counts, at_once, seed):
    weights, values, linear = made(counts, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memories, "AT_ONCE", at_once)
        torch.testing.assert_close(
            weighted_sums(weights, values, linear=linear, counts=counts), naive(weights, values, linear, counts)
        )


@few
@given(counts=batches, at_once=st.integers(1, 20), seed=st.integers(0, 99))
def test_gradients_are_those_of_the_formula_however_many_items_stand_together(counts, at_once, seed):
    weights, values, linear = made(counts, seed=seed, wants_gradients=True)
    wanted = [weights, values, linear.weight, linear.bias]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memories, "AT_ONCE", at_once)
        ours = torch.autograd.grad(weighted_sums(weights, values, linear=linear, counts=counts).square().sum(), wanted)
    nothing = sum(0.0 * tensor.sum() for tensor in wanted)  # so that all are asked for, where no user has an item
    theirs = torch.autograd.grad(naive(weights, values, linear, counts).square().sum() + nothing, wanted)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


@few
@given(counts=batches, at_once=st.integers(1, 20), seed=st.integers(0, 99))
def test_where_no_gradient_is_wanted_the_sums_are_those_of_the_formula_too(counts, at_once, seed):
    weights, values, linear = made(counts, seed=seed)
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(memories, "AT_ONCE", at_once)
        alone = weighted_sums(weights, values, linear=linear, counts=counts)
        torch.testing.assert_close(alone, naive(weights, values, linear, counts))


def test_a_callers_autocast_changes_neither_sums_nor_gradients():
    weights, values, linear = made([2, 3], seed=0, wants_gradients=True)
    wanted = [weights, values, linear.weight, linear.bias]
    plain = weighted_sums(weights, values, linear=linear, counts=[2, 3])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = weighted_sums(weights, values, linear=linear, counts=[2, 3])
        ours = torch.autograd.grad(mixed.square().sum(), wanted)
    torch.testing.assert_close(mixed, plain)
    for mine, other in zip(ours, torch.autograd.grad(plain.square().sum(), wanted), strict=True):
        torch.testing.assert_close(mine, other)


def test_a_gradient_of_the_gradient_is_refused():
    weights, values, linear = made([2], seed=0, wants_gradients=True)
    sums = weighted_sums(weights, values, linear=linear, counts=[2])
    (gradient,) = torch.autograd.grad(sums.square().sum(), weights, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
