"""Scores of a method's answers, over all and by length of history."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from personaplug.evaluation.answers import Answer
from personaplug.evaluation.metrics import LIKELIHOOD_METRICS, METRICS, MetricName
from personaplug.evaluation.seeds import estimate

BUCKETS: tuple[tuple[int, int | None], ...] = ((0, 0), (1, 4), (5, 8), (9, 16), (17, 32), (33, None))


@dataclass(frozen=True, slots=True)
class Score:
    """A metric over some answers.

    Attributes:
        metric: Its name.
        value: The score.
        low: Where its 95% interval begins.
        high: Where it ends.
        answers: How many were scored.
        users: Of how many users.
    """

    metric: MetricName
    value: float
    low: float
    high: float
    answers: int
    users: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """Scores of the answers whose histories have a similar length.

    Attributes:
        first: The fewest items.
        last: The most items; None for no limit.
        scores: As in the report.
    """

    first: int
    last: int | None
    scores: tuple[Score, ...]

    @property
    def title(self) -> str:
        """The range in words, as in ``5-8`` or ``33+``."""
        if self.last is None:
            return f"{self.first}+"
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"


def scores_of(
    answers: Sequence[Answer], metrics: Iterable[MetricName], *, labels: Sequence[str], seed: int
) -> tuple[Score, ...]:
    """Score answers by a task's metrics, then by likelihood, leaving out what no answer can be scored by."""
    names = dict.fromkeys([*metrics, *LIKELIHOOD_METRICS])
    scorable = {name: [answer for answer in answers if METRICS[name].can_score(answer)] for name in names}
    return tuple(_score(name, found, labels=labels, seed=seed) for name, found in scorable.items() if found)


def buckets_of(
    answers: Sequence[Answer], metrics: Iterable[MetricName], *, labels: Sequence[str], seed: int
) -> tuple[Bucket, ...]:
    """Score answers by length of history, leaving out lengths that do not occur."""
    metrics = tuple(metrics)
    buckets = []
    for first, last in BUCKETS:
        within = [answer for answer in answers if first <= answer.history_items <= (math.inf if last is None else last)]
        if scores := scores_of(within, metrics, labels=labels, seed=seed):
            buckets.append(Bucket(first, last, scores))
    return tuple(buckets)


def _score(name: MetricName, answers: Sequence[Answer], *, labels: Sequence[str], seed: int) -> Score:
    found = estimate(METRICS[name], [answers], labels=labels, seed=seed)
    users = len({answer.user_id for answer in answers})
    return Score(name, found.value, found.low, found.high, len(answers), users)
