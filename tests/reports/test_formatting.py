import pytest

from personaplug.evaluation.comparison import Gap
from personaplug.evaluation.scores import Score
from personaplug.evaluation.significance import Difference
from personaplug.reports import formatting


def gap(value=0.0, low=-1.0, high=1.0, p_value=0.5):
    return Gap("accuracy", Difference(value, low, high, p_value), "unclear")


def test_a_title_points_to_where_better_scores_lie():
    assert formatting.metric_title("accuracy") == "Accuracy ↑"
    assert formatting.metric_title("nats-per-token") == "Nats per token ↓"


def test_a_score_has_three_decimals_and_one_that_is_missing_a_dash():
    score = Score("accuracy", 1 / 3, 0.25, 0.5, 10, 5)
    assert (formatting.score_text(score), formatting.score_interval(score)) == ("0.333", "[0.250, 0.500]")
    assert formatting.score_text(None) == formatting.MISSING


@pytest.mark.parametrize(
    ("value", "text"), [(12.3456, "12.35"), (123.456, "123.5"), (9.9994, "9.999"), (12345.6, "12346")]
)
def test_a_large_score_takes_no_more_room_than_a_small_one(value, text):
    assert formatting.score_text(Score("rmse", value, 0.0, 1.0, 10, 5)) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0216, "+0.022"), (-0.0216, "-0.022"), (0.0004, "0.000"), (-0.0004, "0.000"), (0.0, "0.000")]
)
def test_a_difference_has_a_sign_unless_it_rounds_to_zero(value, text):
    assert formatting.gap_text(gap(value)) == text.replace("-", "\N{MINUS SIGN}")


def test_an_interval_has_signs_too():
    assert formatting.gap_interval(gap(low=-0.02, high=0.1)) == "[\N{MINUS SIGN}0.020, +0.100]"


@pytest.mark.parametrize(("p_value", "text"), [(1.0, "1.000"), (0.0312, "0.031"), (0.001, "0.001"), (0.0009, "<0.001")])
def test_a_small_p_is_only_bounded(p_value, text):
    assert formatting.p_text(gap(p_value=p_value)) == text
