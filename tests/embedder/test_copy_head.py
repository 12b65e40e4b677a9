"""A user's own words in the next token's probabilities: found, counted and mixed as plain Python would."""

from collections import Counter
from math import inf, log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.embedder.copy_head import CopyHead, Copying, CopyingConfig
from personaplug.embedder.written import BEGINNING, Written, last_tokens

VOCABULARY, ORDER = 7, 2
TOKENS = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=5)
HISTORIES = st.lists(TOKENS, max_size=4)
few = settings(max_examples=60, deadline=None)


def written(*histories, order=ORDER, most=999):
    return Written.pack(
        [Written.of([torch.tensor(output) for output in each], order=order, most=most) for each in histories]
    )


def trained_head(seed=0, order=ORDER):
    head = CopyHead(order)
    draw = torch.Generator().manual_seed(seed)
    for weight in head.parameters():
        weight.data = torch.randn(weight.shape, generator=draw)
    return head.requires_grad_(requires_grad=False)


def logits(rows, seed=1):
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed))


def followers(history, before, order):
    """Count what follows the last ``order`` tokens in a history, the plain way."""
    counts = Counter()
    for output in history:
        whole = [BEGINNING] * ORDER + output
        for at in range(ORDER, len(whole)):
            if whole[at - order : at] == before[ORDER - order :]:
                counts[whole[at]] += 1
    return counts


@few
@given(history=HISTORIES.filter(bool), answer=TOKENS)
def test_what_may_be_copied_is_what_followed_the_same_tokens_in_the_history(history, answer):
    head, known = trained_head(), written(history)
    before = ([BEGINNING] * ORDER + answer)[-ORDER:]
    copies = head(known, torch.tensor([[before]]))
    counts = [followers(history, before, order) for order in range(ORDER + 1)]
    found = torch.tensor([float(sum(each.values())) for each in counts])
    surest = torch.tensor([max(each.values(), default=0) / max(1, sum(each.values())) for each in counts])
    shares = head._shares(found[None, None], surest[None, None], is_first=torch.tensor([[False]]))[0, 0].exp()
    for place, token in enumerate(known.distinct[0].tolist()):
        parts = zip(counts, shares[1:].tolist(), strict=True)
        wanted = sum(share * each[token] / sum(each.values()) for each, share in parts if each)
        assert copies.chances[0, 0, place].item() == pytest.approx(wanted, abs=1e-5)
    assert copies.own.exp().item() == pytest.approx(shares[0].item(), abs=1e-5)


@few
@given(histories=st.lists(HISTORIES, min_size=1, max_size=4), answer=st.lists(st.integers(0, 6), max_size=4))
def test_all_next_tokens_together_are_certain(histories, answer):
    copying = Copying(trained_head(), written(*histories))
    given_so_far = torch.tensor([answer] * len(histories), dtype=torch.long).view(len(histories), len(answer))
    following = copying.next(logits(len(histories)), given_so_far)
    torch.testing.assert_close(following.exp().sum(dim=-1), torch.ones(len(histories)))


@few
@given(history=HISTORIES, answer=TOKENS)
def test_an_answer_is_as_likely_as_its_tokens_one_after_the_other(history, answer):
    copying, steps = Copying(trained_head(), written(history)), logits(len(answer))
    own = steps.log_softmax(dim=-1)[range(len(answer)), answer]
    scored = copying.scored(own[None], torch.tensor([answer]))[0]
    for at, token in enumerate(answer):
        so_far = torch.tensor([answer[:at]], dtype=torch.long).view(1, at)
        alone = copying.next(steps[at : at + 1], so_far)[0, token]
        torch.testing.assert_close(scored[at], alone, atol=1e-4, rtol=1e-4)


def test_who_has_written_nothing_has_the_language_models_own_words():
    copying = Copying(trained_head(), written([], [[1, 2]]))
    asked, so_far = logits(2), torch.tensor([[1], [1]])
    found, own = copying.next(asked, so_far), asked.log_softmax(dim=-1)
    assert torch.equal(found[0], own[0])
    assert not torch.allclose(found[1], own[1])
    given_own = own[:, 2:3]
    assert torch.equal(copying.scored(given_own, torch.tensor([[2], [2]]))[0], given_own[0])


@few
@given(histories=st.lists(HISTORIES, min_size=2, max_size=4), answer=TOKENS)
def test_a_user_in_a_batch_is_answered_as_alone(histories, answer):
    head, asked = trained_head(), logits(len(histories))
    so_far = torch.tensor([answer] * len(histories))
    together = Copying(head, written(*histories))
    for row, history in enumerate(histories):
        alone = Copying(head, written(history)).next(asked[row : row + 1], so_far[:1])
        torch.testing.assert_close(together.next(asked, so_far)[row], alone[0])
        torch.testing.assert_close(together.row(row).next(asked[row : row + 1], so_far[:1]), alone)


def test_beams_of_a_query_stand_side_by_side_and_have_its_users_words():
    head = trained_head()
    together = Copying(head, written([[1, 2, 3]], [[4, 5, 6]]))
    asked, so_far = logits(4), torch.tensor([[1], [2], [4], [5]])
    found = together.next(asked, so_far)
    for row, history in enumerate(([[1, 2, 3]], [[1, 2, 3]], [[4, 5, 6]], [[4, 5, 6]])):
        alone = Copying(head, written(history)).next(asked[row : row + 1], so_far[row : row + 1])
        torch.testing.assert_close(found[row], alone[0])


def test_an_answers_beginning_is_found_at_the_beginnings_of_outputs_alone():
    known = written([[3, 1], [3, 2], [5, 3, 3]], order=1)
    head = CopyHead(1)
    head.gate.bias.data = torch.tensor([-50.0, -50.0, 50.0])  # all of the longest run
    first = head(known, torch.tensor([[[BEGINNING]]])).chances[0, 0]
    assert dict(zip(known.distinct[0].tolist(), first.tolist(), strict=True)) == pytest.approx(
        {1: 0.0, 2: 0.0, 3: 2 / 3, 5: 1 / 3}, abs=1e-6
    )


def test_an_untrained_head_leaves_most_to_the_language_model():
    copies = CopyHead(4)(written([[1, 2, 3, 1, 2, 3]], order=4), torch.tensor([[[3, 1, 2, 3]]]))
    assert 0.75 < copies.own.exp().item() < 0.95


def test_of_a_long_history_the_latest_tokens_are_looked_through():
    whole, short = written([[1, 2], [3, 4, 5]]), written([[1, 2], [3, 4, 5]], most=3)
    assert whole.distinct.tolist() == [[1, 2, 3, 4, 5]]
    assert short.distinct.tolist() == [[3, 4, 5]]


def test_a_gradient_reaches_the_gate_and_is_a_number_where_nothing_can_be_copied():
    head = CopyHead(ORDER)
    own = torch.full((2, 2), -3.0, requires_grad=True)
    Copying(head, written([[1, 2]], [])).scored(own, torch.tensor([[1, 6], [1, 2]])).sum().backward()
    assert all(weight.grad.isfinite().all() for weight in head.parameters())
    assert head.gate.bias.grad.any()
    assert torch.equal(own.grad, torch.ones(2, 2))  # the language model learns as if alone, what can be copied too


def test_the_tokens_before_each_of_an_answers_are_its_own_or_the_beginning():
    each = last_tokens(torch.tensor([[4, 5, 6]]), order=2, each=True)
    assert each.tolist() == [[[BEGINNING, BEGINNING], [BEGINNING, 4], [4, 5]]]
    assert last_tokens(torch.tensor([[4, 5, 6]]), order=2).tolist() == [[[5, 6]]]


@few
@given(history=HISTORIES, answer=TOKENS)
def test_in_writing_no_token_gains_more_than_the_bound_on_what_is_not_copied(history, answer):
    so_far, asked = torch.tensor([answer]), logits(1)
    own = asked.log_softmax(dim=-1)[0]
    gains = {}
    for boost in (1.0, 3.0, inf):
        gain = Copying(trained_head(), written(history), boost).next(asked, so_far)[0] - own
        gains[boost] = gain - gain.min()
        assert gain.exp().mul(own.exp()).sum().item() == pytest.approx(1.0, abs=1e-4)
        assert gains[boost].max() <= log(boost) + 1e-4
    assert torch.allclose(gains[1.0], torch.zeros(VOCABULARY), atol=1e-5)
    assert (gains[3.0] <= gains[inf] + 1e-4).all()


@few
@given(history=HISTORIES.filter(bool), answer=TOKENS, boost=st.sampled_from([1.5, 8.0, inf]))
def test_a_token_that_the_language_model_may_not_write_is_not_copied(history, answer, boost):
    asked = logits(1)
    asked[0, history[0][0]] = -inf
    following = Copying(trained_head(), written(history), boost).next(asked, torch.tensor([answer]))[0]
    assert following[history[0][0]] == -inf
    assert following.exp().sum().item() == pytest.approx(1)


def test_a_bound_keeps_the_order_of_what_gains_less():
    known, asked = written([[1, 2], [1, 2], [1, 3]]), torch.zeros(1, VOCABULARY)
    bounded, free = (Copying(trained_head(), known, boost).next(asked, torch.tensor([[1]]))[0] for boost in (1.5, inf))
    assert free[2] > free[3] > free[0]
    assert bounded[2] >= bounded[3] > bounded[0]


@pytest.mark.parametrize("values", [{"order": -1}, {"tokens": 0}, {"boost": 0.5}])
def test_impossible_settings_are_refused(values):
    with pytest.raises(ValueError, match="at least 1"):
        CopyingConfig(**values)
