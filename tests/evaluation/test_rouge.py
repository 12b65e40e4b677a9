import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from personaplug.evaluation.rouge import common_subsequence, rouge_1, rouge_l

OFFICIAL = RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
few_words = st.lists(st.sampled_from(["the", "cat", "Cat", "sat", "don't", "42", "é", "🙂", "-", "\n"])).map(" ".join)


@given(few_words | st.text(), few_words | st.text())
def test_scores_equal_those_of_rouge_score_to_the_last_bit(prediction, target):
    official = OFFICIAL.score(target.strip(), prediction.strip())
    assert rouge_1(prediction, target) == official["rouge1"].fmeasure
    assert rouge_l(prediction, target) == official["rougeL"].fmeasure


@pytest.mark.parametrize(
    ("prediction", "target", "one", "longest"),
    [
        ("police killed the gunman", "police kill the gunman", 3 / 4, 3 / 4),  # Lin 2004, section 3.1, as F1
        ("the gunman kill police", "police kill the gunman", 1, 2 / 4),  # the same, reordered
        ("a a a", "a", 2 * (1 / 3) / (4 / 3), 2 * (1 / 3) / (4 / 3)),
        ("", "a", 0, 0),
        ("🙂 …", "🙂 …", 0, 0),  # no word of a to z
    ],
)
def test_scores_equal_those_counted_by_hand(prediction, target, one, longest):
    assert (rouge_1(prediction, target), rouge_l(prediction, target)) == pytest.approx((one, longest))


def test_words_are_not_stemmed():
    assert rouge_1("writing", "writings") == 0


@given(st.lists(st.integers(0, 3).map(str)), st.lists(st.integers(0, 3).map(str)))
def test_the_common_subsequence_is_as_long_whichever_text_comes_first(first, second):
    assert common_subsequence(first, second) == common_subsequence(second, first) <= min(len(first), len(second))


def test_two_texts_of_100_000_characters_take_seconds_at_most():
    words = random.Random(0).choices(["alpha", "beta", "gamma", "delta", "epsilon"], k=18_000)
    text, start = " ".join(words), time.process_time()
    assert len(text) > 90_000
    assert rouge_l(text, text) == 1
    assert time.process_time() - start < 5
