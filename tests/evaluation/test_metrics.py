import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, root_mean_squared_error

from personaplug.errors import PersonaPlugError
from personaplug.evaluation.metrics import METRICS
from tests.evaluation.factories import RATINGS, TAGS, make_answers, make_likely

LABELS = TAGS.labels
words = st.lists(
    st.tuples(st.sampled_from(["a", "b", " b\n", "c", "none", ""]), st.sampled_from([*LABELS, "other", "none"])),
    min_size=1,
)
ratings = st.lists(
    st.tuples(st.sampled_from(["1", "2.5", " 5", "-3", "9"]), st.sampled_from(RATINGS.labels)), min_size=1
)


def score(name, pairs, labels=()):
    predictions, targets = zip(*pairs, strict=True)
    return METRICS[name].score(make_answers(predictions, targets), labels)


def places(pairs):
    """Write answers as label numbers, -1 for no label, as the official scorer does."""
    numbers = [[LABELS.index(text) if text in LABELS else -1 for text in map(str.strip, pair)] for pair in pairs]
    return zip(*numbers, strict=True)


@settings(max_examples=40)
@given(words)
def test_accuracy_equals_that_of_scikit_learn(pairs):
    predicted, wanted = places(pairs)
    assert score("accuracy", pairs, LABELS) == pytest.approx(accuracy_score(wanted, predicted))


@settings(max_examples=40)
@given(words)
def test_macro_f1_equals_that_of_scikit_learn_over_the_full_label_list(pairs):
    predicted, wanted = places(pairs)
    official = f1_score(wanted, predicted, labels=range(len(LABELS)), average="macro", zero_division=0)
    assert score("macro-f1", pairs, LABELS) == pytest.approx(official)


def test_an_answer_that_is_no_label_hits_a_target_that_is_none_as_in_the_official_scorer():
    assert score("accuracy", [("thriller", "horror"), ("thriller", "a")], LABELS) == 0.5
    assert score("accuracy", [("thriller", "horror"), ("a", "a")]) == 0.5  # a task that names no labels


def test_macro_f1_counts_a_label_that_never_occurs_as_zero():
    assert score("macro-f1", [("a", "a"), ("b", "b")], ["a", "b", "c", "d"]) == 0.5


def test_an_answer_that_is_no_label_is_a_miss_and_no_false_hit_of_another_label():
    assert score("macro-f1", [("a", "a"), ("nonsense", "b")], ["a", "b"]) == 0.5
    assert score("macro-f1", [("a", "a"), ("a", "b")], ["a", "b"]) == pytest.approx((2 / 3) / 2)


@settings(max_examples=40)
@given(ratings)
def test_errors_equal_those_of_scikit_learn(pairs):
    predicted, wanted = zip(*((float(p), float(t)) for p, t in pairs), strict=True)
    assert score("mae", pairs, RATINGS.labels) == pytest.approx(mean_absolute_error(wanted, predicted))
    assert score("rmse", pairs, RATINGS.labels) == pytest.approx(root_mean_squared_error(wanted, predicted))


@pytest.mark.parametrize("nonsense", ["", "five", "5 stars", "nan", "inf", "1e999", "🙂" * 50_000])
@pytest.mark.parametrize(("target", "error"), [("1", 4), ("2", 3), ("3", 2), ("4", 3), ("5", 4)])
def test_a_rating_that_does_not_parse_counts_as_the_end_farther_from_the_gold(nonsense, target, error):
    assert score("mae", [(nonsense, target)], RATINGS.labels) == error
    assert score("rmse", [(nonsense, target)], RATINGS.labels) == error


def test_rmse_weighs_a_large_error_more_than_two_small_ones():
    assert score("rmse", [("1", "1"), ("5", "3")], RATINGS.labels) == pytest.approx(2**0.5)
    assert score("mae", [("1", "1"), ("5", "3")], RATINGS.labels) == 1


def test_rouge_is_the_plain_mean_over_answers():
    assert score("rouge-1", [("a cat", "a cat"), ("a dog", "no"), (" a ", "a b")]) == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert score("rouge-l", [("b a", "a b"), ("a b", "a b")]) == 0.75


def test_nats_per_token_weigh_each_token_alike_and_nats_per_answer_each_answer():
    answers = [*make_likely(-1.0, tokens=1), *make_likely(-4.0, tokens=3)]
    assert METRICS["nats-per-token"].score(answers) == pytest.approx((1 + 12) / 4)
    assert METRICS["nats-per-answer"].score(answers) == pytest.approx((1 + 12) / 2)


@pytest.mark.parametrize("name", ["accuracy", "macro-f1", "rouge-1", "rouge-l"])
@settings(max_examples=40)
@given(pairs=words)
def test_scores_lie_between_0_and_1_and_the_right_answers_are_best(name, pairs):
    best = score(name, [(target, target) for _, target in pairs], LABELS)
    assert 0 <= score(name, pairs, LABELS) <= best <= 1


@settings(max_examples=40)
@given(ratings)
def test_rmse_is_at_least_mae_and_neither_is_negative(pairs):
    mae, rmse = (score(name, pairs, RATINGS.labels) for name in ("mae", "rmse"))
    assert 0 <= mae <= rmse + 1e-12


@pytest.mark.parametrize("name", ["accuracy", "macro-f1", "rouge-1", "rouge-l"])
@settings(max_examples=40)
@given(pairs=words, random=st.randoms(use_true_random=False))
def test_the_order_of_answers_is_irrelevant(name, pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    assert score(name, shuffled, LABELS) == pytest.approx(score(name, pairs, LABELS))


@pytest.mark.parametrize("name", ["accuracy", "mae", "rmse", "rouge-1", "rouge-l"])
def test_one_answers_own_score_is_its_score_alone(name):
    answers = make_answers(["1", "2", "5"], ["1", "3", "1"])
    each = METRICS[name].score_each(answers, RATINGS.labels)
    assert each == pytest.approx(np.array([METRICS[name].score([answer], RATINGS.labels) for answer in answers]))


def test_an_answer_without_target_or_likelihood_cannot_be_scored():
    [unknown], [likely] = make_answers(["a"], [None]), make_likely(-1.0)
    assert not METRICS["accuracy"].can_score(unknown)
    assert not METRICS["nats-per-token"].can_score(unknown)
    assert METRICS["nats-per-token"].can_score(likely)


def test_a_gold_rating_that_is_no_number_is_an_error_that_names_the_query():
    with pytest.raises(PersonaPlugError, match=r"query '0' is no number") as caught:
        score("mae", [("1", "good")], RATINGS.labels)
    assert "good" not in str(caught.value)  # what users wrote stands in no error


@pytest.mark.parametrize(("name", "labels"), [("mae", ()), ("rmse", ("low", "high")), ("macro-f1", ())])
def test_a_metric_without_the_labels_it_needs_says_so(name, labels):
    with pytest.raises(PersonaPlugError, match="labels"):
        score(name, [("1", "1")], labels)


def test_answers_of_emoji_and_of_100_000_characters_are_scored():
    pairs = [("🙂" * 100_000, "a"), ("a " * 50_000, "a"), ("a", "a")]
    assert score("accuracy", pairs, LABELS) == pytest.approx(1 / 3)
    assert score("macro-f1", pairs, LABELS) == pytest.approx((2 * 1 / (1 + 3)) / 3)
    assert 1 / 3 < score("rouge-1", pairs) < 0.334
