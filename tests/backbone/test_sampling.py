import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.backbone.generation_config import GenerationConfig
from personaplug.backbone.sampling import RowSampling

NEVER = -torch.inf


def drawn(scores, **config):
    """Draw one token; give its place."""
    left = RowSampling([GenerationConfig("sample", **config)])(torch.zeros(1, 1).long(), torch.tensor([scores]))
    (token,) = left[0].isfinite().nonzero().flatten().tolist()
    return token


@given(
    scores=st.lists(st.sampled_from([NEVER, -9.0, 0.0, 0.5, 1.0]), min_size=2, max_size=9),
    top_p=st.sampled_from([1e-60, 0.3, 0.6, 0.95, 1.0]),
    seed=st.integers(-(2**63), 2**63 - 1),
)
def test_no_token_is_drawn_that_cannot_be_or_is_outside_the_nucleus(scores, top_p, seed):
    """Against the definition: the tokens likelier than one in the nucleus have less than its probability together."""
    chances = torch.tensor([*scores, 2.0]).softmax(dim=0)
    token = drawn([*scores, 2.0], top_p=top_p, seed=seed)
    assert chances[token] > 0
    assert token == len(scores) or chances[chances > chances[token]].sum() < top_p + 1e-6


@pytest.mark.parametrize(("top_p", "tokens"), [(0.4, {1}), (0.6, {1, 2}), (0.95, {0, 1, 2}), (1.0, {0, 1, 2})])
def test_every_token_of_the_nucleus_is_drawn_and_no_other(top_p, tokens):
    scores = torch.tensor([0.2, 0.5, 0.3]).log().tolist()
    assert {drawn(scores, top_p=top_p, seed=seed) for seed in range(60)} == tokens


@pytest.mark.parametrize(("point", "token"), [(0.0, 1), (1 - 2**-24, 3)])
def test_both_ends_of_the_chances_are_tokens_that_can_be(monkeypatch, point, token):
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor([point]))
    assert drawn([NEVER, 0.0, 1.0, 0.0, NEVER], top_p=1.0) == token


def test_no_rounding_of_a_sum_draws_a_token_that_cannot_be(monkeypatch):
    """As sums made side by side, on a GPU, may be rounded."""
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor([0.5]))
    monkeypatch.setattr(torch.Tensor, "cumsum", lambda *_, **__: torch.tensor([[0.5, 0.5 + 2**-23, 1.0]]))
    assert drawn([0.0, NEVER, 0.0], top_p=1.0) != 1
