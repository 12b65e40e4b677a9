"""Answers with and without a persona, side by side, drawn by lot."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np

from personaplug.evaluation.answers import Answer
from personaplug.evaluation.metrics import METRICS, MetricName
from personaplug.evaluation.report import Report
from personaplug.evaluation.significance import aligned

Outcome = Literal["helped", "hurt", "unchanged"]
OUTCOMES: tuple[Outcome, ...] = ("helped", "hurt", "unchanged")


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two answers to one query.

    Attributes:
        outcome: What the persona did to the score.
        without: The answer of the method without persona.
        persona: The answer of the method with persona.
        score_without: Of this query alone.
        score_persona: Of this query alone.
    """

    outcome: Outcome
    without: Answer
    persona: Answer
    score_without: float
    score_persona: float


@dataclass(frozen=True, slots=True)
class Contrasts:
    """What the persona did to each query's score, and a few queries of each kind.

    Attributes:
        metric: By which the outcome is judged.
        without: Label of the method without persona.
        persona: Label of the method with persona.
        counts: Queries of each outcome, in the order of :data:`OUTCOMES`.
        drawn: As many of each outcome as were asked for and exist.
    """

    metric: MetricName
    without: str
    persona: str
    counts: tuple[int, ...]
    drawn: tuple[Contrast, ...]


def draw_contrasts(
    persona: str, without: str, *, reports: Mapping[str, Report], each: int = 2, seed: int = 0
) -> Contrasts | None:
    """Draw ``each`` queries of each outcome by lot; None where no query has a known answer."""
    answers = [answer for answer in reports[persona].answers if answer.target is not None]
    if not answers:
        return None
    metric = METRICS[reports[persona].scores[0].metric]
    others = [
        other for other in aligned(reports[without].answers, reports[persona].answers) if other.target is not None
    ]
    scores, other_scores = (metric.score_each(side, reports[persona].labels) for side in (answers, others))
    gains = (scores - other_scores) * (1 if metric.higher_is_better else -1)
    kinds = {"helped": gains > 0, "hurt": gains < 0, "unchanged": gains == 0}
    indices = {outcome: np.flatnonzero(kinds[outcome]).tolist() for outcome in OUTCOMES}
    lot = Random(seed)
    return Contrasts(
        metric=metric.name,
        without=without,
        persona=persona,
        counts=tuple(len(indices[outcome]) for outcome in OUTCOMES),
        drawn=tuple(
            Contrast(outcome, others[at], answers[at], float(other_scores[at]), float(scores[at]))
            for outcome in OUTCOMES
            for at in sorted(lot.sample(indices[outcome], min(each, len(indices[outcome]))))
        ),
    )
