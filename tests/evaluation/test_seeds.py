"""Means over seeds, with intervals over users and seeds."""

from dataclasses import replace

import numpy as np
import pytest

from personaplug.errors import PersonaPlugError
from personaplug.evaluation.averaging import average
from personaplug.evaluation.metrics import METRICS
from personaplug.evaluation.seeds import difference, estimate
from tests.evaluation.factories import make_answers, make_report

ACCURACY, F1 = METRICS["accuracy"], METRICS["macro-f1"]
TARGETS = list("abcabcab")
USERS = [f"user {place // 2}" for place in range(8)]


def answers(predictions):
    return make_answers(list(predictions), TARGETS, users=USERS)


def test_the_score_is_the_mean_of_the_seeds_scores():
    first, second = answers("abcabcab"), answers("abcaaaaa")  # 8 and 5 of 8 right, by hand
    assert estimate(ACCURACY, [first, second]).value == pytest.approx((8 / 8 + 5 / 8) / 2)


def test_a_score_that_is_no_mean_over_answers_is_averaged_seed_by_seed():
    first, second = answers("abcabcab"), answers("aaaaaaaa")
    alone = [F1.score(each, ("a", "b", "c")) for each in (first, second)]
    assert estimate(F1, [first, second], labels=("a", "b", "c")).value == pytest.approx(np.mean(alone))
    assert F1.score([*first, *second], ("a", "b", "c")) != pytest.approx(np.mean(alone))


def test_equal_seeds_have_the_value_and_p_of_one():
    one, other = answers("abcaaaaa"), answers("aaaaaaaa")
    found = difference(ACCURACY, [one, one], theirs=[other, other])
    alone = difference(ACCURACY, [one], theirs=[other])
    assert (found.value, found.p_value) == (pytest.approx(alone.value), pytest.approx(alone.p_value))


def test_seeds_that_disagree_widen_the_interval():
    agreeing = [answers("abcaaaaa"), answers("abcaaaaa")]
    disagreeing = [answers("abcabcab"), answers("abaaaaba")]  # 8 and 4: 6 on average
    widths = [found.high - found.low for found in (estimate(ACCURACY, seeds) for seeds in (agreeing, disagreeing))]
    assert widths[1] > widths[0]


def test_differences_are_taken_seed_by_seed_and_a_method_without_seeds_stands_beside_each():
    ours, theirs = [answers("abcabcab"), answers("abcaaaaa")], [answers("aaaaaaaa")]
    assert difference(ACCURACY, ours, theirs=theirs).value == pytest.approx((8 + 5) / 2 / 8 - 3 / 8)
    assert difference(ACCURACY, theirs, theirs=ours).value == pytest.approx(3 / 8 - (8 + 5) / 2 / 8)


def test_the_order_of_a_seeds_answers_does_not_matter():
    ours, theirs = answers("abcaaaaa"), answers("aaaaaaaa")
    assert difference(ACCURACY, [ours, ours[::-1]], theirs=[theirs]) == difference(
        ACCURACY, [ours, ours], theirs=[theirs]
    )


def test_seeds_of_other_queries_are_an_error():
    with pytest.raises(PersonaPlugError, match="different queries"):
        estimate(ACCURACY, [answers("abcaaaaa"), answers("abcaaaaa")[1:]])


def test_an_average_report_holds_means_and_the_largest_memory():
    first, second = make_report("plug", says="a", nats=1.0), make_report("plug", says="b", nats=2.0)
    first, second = replace(first, peak_memory_mb=100.0), replace(second, peak_memory_mb=300.0)
    mean = average([first, second])
    assert mean.score("nats-per-token").value == pytest.approx(1.5)
    assert mean.score("accuracy").value == pytest.approx((1 + 0) / 2)  # every target is "a"
    assert mean.peak_memory_mb == 300
    assert mean.seconds == pytest.approx((first.seconds + second.seconds) / 2)
    assert [bucket.title for bucket in mean.buckets] == [bucket.title for bucket in first.buckets]
    assert mean.buckets[0].scores[0].value == pytest.approx(0.5)
    assert average([first]) is first
