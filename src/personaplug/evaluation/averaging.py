"""One method's reports of several seeds as one report of their means."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from personaplug.evaluation.answers import Answer
from personaplug.evaluation.cost import Cost
from personaplug.evaluation.metrics import METRICS
from personaplug.evaluation.report import Report
from personaplug.evaluation.scores import Bucket, Score
from personaplug.evaluation.seeds import Seeds, estimate


def averages(reports: Mapping[str, Sequence[Report]]) -> dict[str, Report]:
    """Average each method's reports of several seeds, by label: bootstraps without end, so do it once."""
    return {label: average(each) for label, each in reports.items()}


def average(reports: Sequence[Report]) -> Report:
    """Average reports of the same queries; answers and attention are the first one's.

    Scores and buckets are means over seeds, with intervals over users and seeds. Seconds are means, memory is the most.
    """
    first = reports[0]
    if len(reports) == 1:
        return first
    return replace(
        first,
        seconds=fmean(report.seconds for report in reports),
        peak_memory_mb=max(report.peak_memory_mb for report in reports),
        cost=_cost([report.cost for report in reports if report.cost]),
        scores=_scores(first.scores, reports, is_inside=lambda _: True),
        buckets=tuple(_bucket(bucket, reports) for bucket in first.buckets),
    )


def _bucket(bucket: Bucket, reports: Sequence[Report]) -> Bucket:
    def is_inside(answer: Answer) -> bool:
        return bucket.first <= answer.history_items and (bucket.last is None or answer.history_items <= bucket.last)

    return replace(bucket, scores=_scores(bucket.scores, reports, is_inside=is_inside))


def _scores(
    scores: Sequence[Score], reports: Sequence[Report], *, is_inside: Callable[[Answer], bool]
) -> tuple[Score, ...]:
    seeds = [[answer for answer in report.answers if is_inside(answer)] for report in reports]
    return tuple(_score(score, seeds, like=reports[0]) for score in scores)


def _score(score: Score, seeds: Seeds, *, like: Report) -> Score:
    found = estimate(METRICS[score.metric], seeds, labels=like.labels, seed=like.setting.seed)
    return replace(score, value=found.value, low=found.low, high=found.high)


def _cost(costs: Sequence[Cost]) -> Cost | None:
    if not costs:
        return None
    return Cost(
        answer_seconds=fmean(cost.answer_seconds for cost in costs),
        prompt_tokens=_mean([cost.prompt_tokens for cost in costs]),
        user_bytes=_mean([cost.user_bytes for cost in costs]),
        gpu_memory_mb=max((cost.gpu_memory_mb for cost in costs if cost.gpu_memory_mb is not None), default=None),
    )


def _mean(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return fmean(known) if len(known) == len(numbers) else None
