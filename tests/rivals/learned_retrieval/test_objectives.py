"""The two ways to learn a choice, against their definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy

from personaplug.rivals.learned_retrieval.candidates import CandidateSet
from personaplug.rivals.learned_retrieval.objectives import Distillation, PolicyGradient, option_scores

numbers = st.floats(-5, 5).map(lambda value: round(value, 2))
rows = st.lists(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5), min_size=1, max_size=4)


def choices_of(scores):
    """Write each score as a prompt, which :func:`said` reads."""
    return [CandidateSet("q", ("",) * len(row), tuple(str(score) for score in row), "y") for row in scores]


def said(questions):
    return [float(question.prompt) for question in questions]


def padded(rows):
    return torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_value=-torch.inf
    )


@given(rows, st.sampled_from([0.5, 1.0, 3.0]))
def test_distillation_is_the_mean_divergence_of_two_softmaxes(pairs, temperature):
    logits, scores = ([[pair[at] for pair in row] for row in pairs] for at in (0, 1))
    expected = np.mean(
        [entropy(softmax(np.array(s) / temperature), softmax(np.array(x))) for x, s in zip(logits, scores, strict=True)]
    )
    loss = Distillation(said, temperature)(padded(logits), choices_of(scores))
    assert loss.item() == pytest.approx(expected, abs=1e-4)


@given(rows)
def test_options_that_are_not_there_neither_count_nor_break_the_gradient(pairs):
    logits, scores = ([[pair[at] for pair in row] for row in pairs] for at in (0, 1))
    for objective in (Distillation(said, 1.0), PolicyGradient(said)):
        weights = padded([*logits, [0.0] * 6]).requires_grad_()
        loss = objective(weights, choices_of([*scores, [1.0] * 6]))
        loss.backward()
        assert loss.isfinite()
        assert weights.grad.isfinite().all()
        assert (weights.grad[weights.isinf()] == 0).all()


def test_a_policy_gradient_is_the_gradient_of_the_expected_score():
    scores = [[1.0, 3.0, -2.0], [0.5, 0.0]]
    logits = padded([[0.2, -0.3, 0.5], [1.0, 0.0]])
    weights = logits.clone().requires_grad_()
    expected = (weights.softmax(dim=1)[0] * torch.tensor(scores[0])).sum()
    expected = expected + (weights.softmax(dim=1)[1, :2] * torch.tensor(scores[1])).sum()
    (-expected / 2).backward()
    objective, total = PolicyGradient(said, torch.Generator().manual_seed(0)), torch.zeros_like(logits)
    for _ in range(3000):
        drawn = logits.clone().requires_grad_()
        objective(drawn, choices_of(scores)).backward()
        total += drawn.grad
    torch.testing.assert_close(total / 3000, weights.grad, atol=0.03, rtol=0)


def test_an_option_is_rewarded_by_what_it_adds_to_the_first():
    same = PolicyGradient(said)
    assert same(padded([[0.0, 1.0, 2.0]]), choices_of([[7.0, 7.0, 7.0]])).item() == 0
    better = PolicyGradient(said)(torch.tensor([[-50.0, 50.0]]).requires_grad_(), choices_of([[1.0, 3.0]]))
    assert better.item() == pytest.approx(0, abs=1e-6)  # log 1 = 0, whatever the reward
    unlikely = torch.tensor([[0.0, 0.0]]).requires_grad_()
    objective = PolicyGradient(said, torch.Generator().manual_seed(0))
    losses = {round(objective(unlikely, choices_of([[1.0, 3.0]])).item(), 4) for _ in range(20)}
    assert losses == {0.0, round(2 * np.log(2), 4)}


def test_scores_stand_by_their_options():
    scores = option_scores(choices_of([[1.0], [2.0, 3.0]]), said)
    assert scores.tolist() == [[1.0, -np.inf], [2.0, 3.0]]
