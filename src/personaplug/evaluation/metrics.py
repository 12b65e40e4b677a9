"""Scores as sums: what each answer adds, and what the sum amounts to.

Every metric here depends on the answers through a sum alone, macro-F1 (a sum of confusion counts) and RMSE (a sum of
squares) too. So a bootstrap over users needs each user's sum once, and no text.

Accuracy, macro-F1, MAE and RMSE are those of LaMP's scorer (arXiv 2304.11406), to the last digit. ROUGE-1 and ROUGE-L
of one answer are, too. Of many answers ours is the plain mean; the scorer's is the median of 1,000 bootstrapped means,
drawn anew in each run, so it differs from ours, and from itself, in the fourth decimal.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from personaplug.errors import PersonaPlugError
from personaplug.evaluation.answers import Answer
from personaplug.evaluation.rouge import rouge_1, rouge_l

MetricName = Literal["accuracy", "macro-f1", "mae", "rmse", "rouge-1", "rouge-l", "nats-per-token", "nats-per-answer"]
LIKELIHOOD_METRICS: tuple[MetricName, ...] = ("nats-per-token", "nats-per-answer")


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to score answers.

    Attributes:
        name: As in a task file.
        title: For people.
        higher_is_better: False for errors and for nats.
        needs: What an answer must have to be scored.
        pieces: What each answer adds, given the task's labels.
        value: The score that a sum of pieces amounts to; of one answer's pieces, that answer's own score.
    """

    name: MetricName
    title: str
    higher_is_better: bool
    needs: Literal["target", "log_likelihood"]
    pieces: Callable[[Sequence[Answer], Sequence[str]], Float[np.ndarray, "answers pieces"]]
    value: Callable[[Float[np.ndarray, "*groups pieces"]], Float[np.ndarray, "*groups"]]

    def can_score(self, answer: Answer) -> bool:
        """Tell whether the answer has what the metric needs."""
        return getattr(answer, self.needs) is not None

    def score(self, answers: Sequence[Answer], labels: Sequence[str] = ()) -> float:
        """Score answers together, of which there must be at least one."""
        return float(self.value(self.pieces(answers, labels).sum(axis=0)))

    def score_each(self, answers: Sequence[Answer], labels: Sequence[str] = ()) -> Float[np.ndarray, " answers"]:
        """Score each answer by itself."""
        return self.value(self.pieces(answers, labels))


def _hits(answers: Sequence[Answer], labels: Sequence[str]) -> Float[np.ndarray, "answers 2"]:
    """Give 1 for each hit; as in LaMP's scorer, all that is no label is one answer, right where the target is none."""
    return _counted(_label(_prediction(answer), labels) == _label(_target(answer), labels) for answer in answers)


def _confusions(answers: Sequence[Answer], labels: Sequence[str]) -> Float[np.ndarray, "answers pieces"]:
    """Give hit, predicted and wanted per label, as sums of 0 and 1: pieces are 3 times the labels."""
    if not labels:
        raise PersonaPlugError(
            "macro-f1 needs the task's labels, and it has none", hint="name all labels in the task file"
        )
    names = np.array(labels, dtype=object)
    predicted = np.array([_prediction(answer) for answer in answers], dtype=object)[:, None] == names
    wanted = np.array([_target(answer) for answer in answers], dtype=object)[:, None] == names
    return np.hstack([predicted & wanted, predicted, wanted]).astype(float)


def _absolute_errors(answers: Sequence[Answer], labels: Sequence[str]) -> Float[np.ndarray, "answers 2"]:
    scale = _scale(labels)
    return _counted(_error(answer, scale) for answer in answers)


def _squared_errors(answers: Sequence[Answer], labels: Sequence[str]) -> Float[np.ndarray, "answers 2"]:
    scale = _scale(labels)
    return _counted(_error(answer, scale) ** 2 for answer in answers)


def _rouge(score: Callable[[str, str], float]) -> Callable[[Sequence[Answer], Sequence[str]], np.ndarray]:
    return lambda answers, _labels: _counted(score(answer.prediction, answer.target or "") for answer in answers)


def _nats_and_tokens(answers: Sequence[Answer], _labels: Sequence[str]) -> Float[np.ndarray, "answers 2"]:
    return np.array([(_nats(answer), answer.tokens or 0) for answer in answers], dtype=float)


def _nats_and_answers(answers: Sequence[Answer], _labels: Sequence[str]) -> Float[np.ndarray, "answers 2"]:
    return _counted(_nats(answer) for answer in answers)


def _ratio(sums: Float[np.ndarray, "*groups 2"]) -> Float[np.ndarray, "*groups"]:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _root_of_ratio(sums: Float[np.ndarray, "*groups 2"]) -> Float[np.ndarray, "*groups"]:
    return np.asarray(np.sqrt(np.maximum(_ratio(sums), 0)))


def _macro_f1(sums: Float[np.ndarray, "*groups pieces"]) -> Float[np.ndarray, "*groups"]:
    hits, predicted, wanted = np.split(sums, 3, axis=-1)
    return np.asarray(np.mean(2 * hits / np.maximum(predicted + wanted, 1), axis=-1))


METRICS: Mapping[MetricName, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "Accuracy", True, "target", _hits, _ratio),
        Metric("macro-f1", "Macro-F1", True, "target", _confusions, _macro_f1),
        Metric("mae", "MAE", False, "target", _absolute_errors, _ratio),
        Metric("rmse", "RMSE", False, "target", _squared_errors, _root_of_ratio),
        Metric("rouge-1", "ROUGE-1", True, "target", _rouge(rouge_1), _ratio),
        Metric("rouge-l", "ROUGE-L", True, "target", _rouge(rouge_l), _ratio),
        Metric("nats-per-token", "Nats per token", False, "log_likelihood", _nats_and_tokens, _ratio),
        Metric("nats-per-answer", "Nats per answer", False, "log_likelihood", _nats_and_answers, _ratio),
    )
}


def _counted(scores: Iterable[float]) -> Float[np.ndarray, "answers 2"]:
    """Put a 1 beside each score, so that a sum of rows holds the sum of scores and their number."""
    return np.array([(score, 1) for score in scores], dtype=float).reshape(-1, 2)


def _prediction(answer: Answer) -> str:
    return answer.prediction.strip()


def _target(answer: Answer) -> str:
    return (answer.target or "").strip()


def _label(text: str, labels: Sequence[str]) -> str | None:
    """Give an answer as its label, None where it is none of them; of a task without labels, as it is."""
    return text if not labels or text in labels else None


def _nats(answer: Answer) -> float:
    return -(answer.log_likelihood or 0.0) * (answer.tokens or 0)


def _error(answer: Answer, scale: tuple[float, float]) -> float:
    """Give the distance between rating and target; an answer that is no number lies at the far end of the scale."""
    target = _number(_target(answer))
    if target is None:
        raise PersonaPlugError(
            f"the right answer to query {answer.id!r} is no number",
            hint="mend the log, or give the task other metrics than mae and rmse",
        )
    rating = _number(_prediction(answer))
    return max(abs(end - target) for end in scale) if rating is None else abs(rating - target)


def _scale(labels: Sequence[str]) -> tuple[float, float]:
    """Find the ends of a rating's scale."""
    ratings = [rating for rating in map(_number, labels) if rating is not None]
    if not ratings or len(ratings) < len(labels):
        raise PersonaPlugError(
            f"mae and rmse need the scale of ratings, but the task's labels are {list(labels)!r}",
            hint='name all ratings in the task file, as in labels = ["1", "2", "3", "4", "5"]',
        )
    return min(ratings), max(ratings)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
