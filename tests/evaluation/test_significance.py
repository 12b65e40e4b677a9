import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.errors import PersonaPlugError
from personaplug.evaluation import significance
from personaplug.evaluation.metrics import METRICS
from personaplug.evaluation.seeds import difference, estimate
from personaplug.evaluation.significance import aligned, flip_p_value, interval, user_sums
from tests.evaluation.factories import TAGS, make_answers, make_likely

NATS = METRICS["nats-per-answer"]
ACCURACY = METRICS["accuracy"]
scores = st.lists(st.floats(-3, -0.1), min_size=4, max_size=12)


def mean(sums):
    return sums[..., 0] / sums[..., 1]


def astuple(found):
    return found.value, found.low, found.high


def simulated(rng, users=40):
    """Draw users with habits of their own around a known mean of 2, and their answers around their habit."""
    habits = rng.normal(2, 1, users)
    return np.stack([rng.normal(habits * 5, 5**0.5), np.full(users, 5.0)], axis=1)[:, None]


def test_the_interval_holds_the_known_mean_about_95_times_in_100():
    rng = np.random.default_rng(0)
    intervals = [interval(simulated(rng), mean, seed=seed) for seed in range(200)]
    assert 0.90 <= np.mean([low <= 2 <= high for low, high in intervals]) <= 0.99


def test_the_interval_of_a_mean_has_the_width_that_theory_gives():
    values = np.random.default_rng(1).normal(size=400)
    low, high = interval(np.stack([values, np.ones(400)], axis=1)[:, None], mean, seed=0)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.08)


def test_a_user_with_many_answers_is_drawn_as_one():
    """Ten copies of each answer by the same user tell nothing new; by new users they would."""
    once = make_answers(list("abababcc"), list("aaaaaaaa"))
    ten_times = [answer for answer in once for _ in range(10)]
    of_new_users = make_answers([answer.prediction for answer in ten_times], ["a"] * 80)
    widths = [found.high - found.low for found in (estimate(ACCURACY, [a]) for a in (once, ten_times, of_new_users))]
    assert widths[0] == pytest.approx(widths[1])
    assert widths[2] < widths[0] / 2


@settings(max_examples=40)
@given(scores, st.randoms(use_true_random=False))
def test_the_order_of_answers_is_irrelevant(means, random):
    answers = make_likely(*means)
    found = estimate(NATS, [random.sample(answers, len(answers))])
    assert (found.value, found.low, found.high) == pytest.approx(astuple(estimate(NATS, [answers])))


@settings(max_examples=40)
@given(scores)
def test_the_score_lies_within_the_answers_and_the_interval_too(means):
    found = estimate(NATS, [make_likely(*means)])
    least, most = -2 * max(means), -2 * min(means)
    assert least - 1e-9 <= found.low <= found.high <= most + 1e-9
    assert least - 1e-9 <= found.value <= most + 1e-9


def test_a_seed_gives_the_same_interval_again_and_another_seed_another():
    answers = make_likely(*np.linspace(-4, -1, 30) ** 3)
    assert estimate(NATS, [answers], seed=3) == estimate(NATS, [answers], seed=3)
    assert estimate(NATS, [answers], seed=3) != estimate(NATS, [answers], seed=4)


def test_users_that_do_not_fit_in_one_block_are_drawn_in_several(monkeypatch):
    sums = simulated(np.random.default_rng(0))
    whole = interval(sums, mean, seed=0)
    monkeypatch.setattr(significance, "_NUMBERS_AT_ONCE", 777)
    assert interval(sums, mean, seed=0) == pytest.approx(whole, abs=0.05)


@settings(max_examples=40)
@given(scores, scores)
def test_a_comparison_turned_round_has_the_opposite_difference_and_the_same_p(first, second):
    size = min(len(first), len(second))
    ours, theirs = make_likely(*first[:size]), make_likely(*second[:size])
    there, back = difference(NATS, [ours], theirs=[theirs]), difference(NATS, [theirs], theirs=[ours])
    assert there.p_value == back.p_value
    assert astuple(there) == pytest.approx((-back.value, -back.high, -back.low))


@pytest.mark.parametrize("name", ["nats-per-token", "nats-per-answer", "accuracy", "rouge-l", "macro-f1"])
def test_a_difference_is_the_difference_of_the_scores(name):
    metric, users = METRICS[name], list("xxyyz")
    ours = make_likely(-1.0, -2.0, -3.0, -1.0, -2.5, users=users)
    theirs = make_likely(-1.5, -2.0, -1.0, -1.0, -2.0, users=users)
    labels = ("x", "y")
    expected = metric.score(ours, labels) - metric.score(theirs, labels)
    assert difference(metric, [ours], theirs=[theirs], labels=labels).value == pytest.approx(expected)


def test_p_equals_the_share_of_all_flips_that_are_as_large():
    """With eight users all 256 flips can be counted (Fisher's exact randomization test of paired differences)."""
    gains = np.array([0.3, -0.1, 0.4, 0.2, 0.5, -0.2, 0.1, 0.6])
    flipped = [abs(np.dot(signs, gains)) for signs in itertools.product([-1, 1], repeat=8)]
    exact = np.mean(np.array(flipped) >= gains.sum() - 1e-9)
    found = difference(NATS, [make_likely(*-gains, tokens=1)], theirs=[make_likely(*[0.0] * 8, tokens=1)])
    assert found.p_value == pytest.approx(exact, abs=0.01)


def test_p_of_equal_methods_is_1():
    answers = make_answers(list("abcab"), list("aabbc"))
    assert difference(METRICS["macro-f1"], [answers], theirs=[answers], labels=TAGS.labels).p_value == 1


def test_p_is_uniform_where_the_methods_do_not_differ():
    rng = np.random.default_rng(0)
    pairs = [rng.normal(size=(2, 12, 1)) + rng.normal(size=(1, 12, 1)) for _ in range(150)]
    found = [flip_p_value(a, b, statistic=lambda sums: sums[..., 0], seed=0) for a, b in pairs]
    assert 0.01 <= np.mean(np.array(found) < 0.05) <= 0.10
    assert 0.40 <= np.mean(np.array(found) < 0.5) <= 0.60


def test_a_paired_interval_is_narrower_than_the_methods_own_where_users_differ_and_methods_hardly():
    means = np.random.default_rng(0).uniform(-5, -1, 60)
    ours, theirs = make_likely(*(means + 0.1)), make_likely(*means)
    found, alone = difference(NATS, [ours], theirs=[theirs]), estimate(NATS, [ours])
    assert found.high - found.low < (alone.high - alone.low) / 100
    assert found.high < 0


def test_answers_are_paired_by_user_and_id_whatever_their_order():
    answers = make_answers(list("ab"), list("aa"), users=["x", "y"])
    assert aligned(answers[::-1], answers) == answers


def test_different_queries_are_an_error_that_counts_both_sides():
    answers = make_answers(list("abcde"), list("aaaaa"))
    with pytest.raises(PersonaPlugError, match="2 are in both, 1 only in the first, 2 only in the second"):
        difference(ACCURACY, [answers[:3]], theirs=[answers[1:3] + answers[3:]])


def test_different_right_answers_to_one_query_are_an_error():
    with pytest.raises(PersonaPlugError, match="different right answers to 1 queries, as to '1'"):
        difference(ACCURACY, [make_answers("ab", "aa")], theirs=[make_answers("ab", "ab")])


def test_only_answers_that_both_sides_can_score_are_compared():
    ours, theirs = make_likely(-1.0, -2.0, -3.0), make_likely(-1.0, -1.0, -1.0)
    unmeasured = make_answers("x", "x")
    assert difference(NATS, [ours], theirs=[[*unmeasured, *theirs[1:]]]).value == pytest.approx((2 + 4) / 2)


def test_pieces_of_one_user_are_added_up():
    sums = user_sums(np.array([[1.0, 1], [2, 1], [4, 1]]), ["b", "a", "b"])
    assert sums.tolist() == [[2, 1], [5, 2]]
