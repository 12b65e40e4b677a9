from dataclasses import replace

import pytest

from personaplug.evaluation.metrics import METRICS
from personaplug.evaluation.scores import buckets_of, scores_of
from tests.evaluation.factories import TAGS, make_answers, make_likely


def of_length(answers, *lengths):
    return [replace(answer, history_items=length) for answer, length in zip(answers, lengths, strict=True)]


def test_scores_come_in_the_tasks_order_and_likelihood_after_them():
    answers = make_likely(-1.0, -2.0)
    names = [score.metric for score in scores_of(answers, TAGS.metrics, labels=TAGS.labels, seed=0)]
    assert names == ["accuracy", "macro-f1", "nats-per-token", "nats-per-answer"]


def test_answers_without_target_are_not_scored_and_not_counted():
    answers = make_answers(["a", "b", "c"], ["a", None, "a"], users=["x", "y", "x"])
    [score] = scores_of(answers, ["accuracy"], labels=(), seed=0)
    assert (score.value, score.answers, score.users) == (0.5, 2, 1)


def test_answers_of_which_nothing_is_known_have_no_scores():
    assert scores_of(make_answers(["a"], [None]), TAGS.metrics, labels=TAGS.labels, seed=0) == ()
    assert buckets_of(make_answers(["a"], [None]), TAGS.metrics, labels=TAGS.labels, seed=0) == ()


def test_every_answer_is_in_one_bucket():
    lengths = [0, 1, 4, 5, 8, 9, 16, 17, 32, 33, 512]
    answers = of_length(make_answers("a" * 11, "a" * 11), *lengths)
    buckets = buckets_of(answers, ["accuracy"], labels=(), seed=0)
    assert [bucket.title for bucket in buckets] == ["0", "1-4", "5-8", "9-16", "17-32", "33+"]
    assert [bucket.scores[0].answers for bucket in buckets] == [1, 2, 2, 2, 2, 2]


def test_a_length_that_does_not_occur_has_no_bucket():
    buckets = buckets_of(of_length(make_answers("aa", "aa"), 2, 40), ["accuracy"], labels=(), seed=0)
    assert [bucket.title for bucket in buckets] == ["1-4", "33+"]


def test_a_bucket_holds_the_scores_of_its_own_answers():
    answers = of_length(make_answers("abbb", "aaab"), 1, 2, 6, 7)
    short, long = buckets_of(answers, ["accuracy"], labels=(), seed=0)
    assert short.scores[0].value == METRICS["accuracy"].score(answers[:2])
    assert long.scores[0].value == METRICS["accuracy"].score(answers[2:]) == pytest.approx(0.5)
