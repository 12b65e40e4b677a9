"""Several reports of one task as one table: each method's scores, and how far they lie from a baseline's."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from personaplug.errors import PersonaPlugError
from personaplug.evaluation.averaging import averages
from personaplug.evaluation.metrics import METRICS, MetricName
from personaplug.evaluation.report import Report
from personaplug.evaluation.scores import Score
from personaplug.evaluation.seeds import difference
from personaplug.evaluation.significance import Difference
from personaplug.method_kinds import CONTROLS

Verdict = Literal["better", "worse", "unclear"]
SeedReports = Mapping[str, Sequence[Report]]
"""Reports by the label of their method, one a seed; one alone where nothing was trained."""


@dataclass(frozen=True, slots=True)
class Gap:
    """How far one method lies from another on one metric.

    Attributes:
        metric: Its name.
        difference: The first method's score less the second's.
        verdict: Clear where the interval leaves out zero and the paired test agrees, at 5%.
    """

    metric: MetricName
    difference: Difference
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One method of a comparison.

    Attributes:
        label: The method as the table names it, unlike all others.
        scores: One per metric of the comparison; None where the method lacks it.
        gaps: To the baseline, in the same order; None for the baseline itself and where either lacks the metric.
    """

    label: str
    scores: tuple[Score | None, ...]
    gaps: tuple[Gap | None, ...]


@dataclass(frozen=True, slots=True)
class Control:
    """What is left of a method when it is given strangers' histories: is it the person?

    Attributes:
        label: Of the method with the users' own histories.
        gaps: Own history less a stranger's, one per metric of the comparison; None where either lacks it.
    """

    label: str
    gaps: tuple[Gap | None, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Methods on the same queries of one task.

    Attributes:
        task: Its name.
        split: Of the queries.
        baseline: The label that the gaps are to.
        persona: The label of the method that is looked at most closely: the first plug on the users' own histories.
        metrics: The columns, the main one first.
        rows: One a report.
        controls: One a method that was measured with both its own and strangers' histories.
    """

    task: str
    split: str
    baseline: str
    persona: str | None
    metrics: tuple[MetricName, ...]
    rows: tuple[ComparisonRow, ...]
    controls: tuple[Control, ...]


def label_reports(reports: Mapping[Path, Report]) -> dict[str, Report]:
    """Name each report by its method, and by its file too where several have the same method."""
    methods = Counter(report.label for report in reports.values())
    stems = Counter((report.label, path.stem) for path, report in reports.items())

    def label(path: Path, report: Report) -> str:
        if methods[report.label] == 1:
            return report.label
        return f"{report.label} ({path.stem if stems[report.label, path.stem] == 1 else path})"

    return {label(path, report): report for path, report in reports.items()}


def compare(reports: Mapping[str, Report], *, baseline: str | None = None) -> Comparison:
    """Compare reports by label.

    Args:
        reports: At least one; all of the same task, split and queries.
        baseline: A label; by default the first of ``CONTROLS`` that is there, else the first report's.

    Raises:
        PersonaPlugError: The reports do not go together, or none is the baseline.
    """
    return compare_seeds({label: (report,) for label, report in reports.items()}, baseline=baseline)


def compare_seeds(
    seeds: SeedReports, *, baseline: str | None = None, means: Mapping[str, Report] | None = None
) -> Comparison:
    """Compare methods by label, each measured with one or several seeds; scores are means over seeds.

    Args:
        seeds: At least one method; all of the same task, split and queries.
        baseline: As for :func:`compare`.
        means: The methods' averages over seeds, where they are at hand.

    Raises:
        PersonaPlugError: The reports do not go together, or none is the baseline.
    """
    reports = averages(seeds) if means is None else means
    _check_one_task(reports)
    chosen = _baseline(reports, baseline)
    first, metrics = reports[chosen], _columns(reports.values())
    return Comparison(
        task=first.task,
        split=first.setting.split,
        baseline=chosen,
        persona=_persona(reports, chosen),
        metrics=metrics,
        rows=tuple(
            ComparisonRow(
                label,
                tuple(report.score(metric) for metric in metrics),
                tuple(
                    None if label == chosen else gap(metric, seeds[label], theirs=seeds[chosen]) for metric in metrics
                ),
            )
            for label, report in reports.items()
        ),
        controls=tuple(
            Control(label, tuple(gap(metric, seeds[label], theirs=seeds[stranger]) for metric in metrics))
            for label, stranger in _with_strangers(reports)
        ),
    )


def gap(metric: MetricName, ours: Sequence[Report], *, theirs: Sequence[Report]) -> Gap | None:
    """Measure how far a method lies from another, each of one report a seed; None where either lacks the metric.

    Raises:
        PersonaPlugError: They did not answer the same queries.
    """
    if any(report.score(metric) is None for report in (*ours, *theirs)):
        return None
    measure, (answers, others) = METRICS[metric], ([report.answers for report in side] for side in (ours, theirs))
    try:
        found = difference(measure, answers, theirs=others, labels=ours[0].labels, seed=theirs[0].setting.seed)
    except PersonaPlugError as error:
        raise PersonaPlugError(f"{ours[0].label} against {theirs[0].label}: {error}", hint=error.hint) from error
    return Gap(metric, found, verdict(found, higher_is_better=measure.higher_is_better))


def verdict(found: Difference, *, higher_is_better: bool) -> Verdict:
    """Say in a word whether a difference is clear, and to whose favor."""
    if found.low <= 0 <= found.high or found.p_value >= 0.05:
        return "unclear"
    return "better" if (found.low > 0) == higher_is_better else "worse"


def _check_one_task(reports: Mapping[str, Report]) -> None:
    if len({(report.task, report.setting.split) for report in reports.values()}) > 1:
        kinds = ", ".join(f"{label}: {report.task} {report.setting.split}" for label, report in reports.items())
        message = f"the reports are of different tasks or splits: {kinds}"
        raise PersonaPlugError(message, hint="compare one task at a time")


def _baseline(reports: Mapping[str, Report], wanted: str | None) -> str:
    if wanted is None:
        return next((name for name in CONTROLS if name in reports), next(iter(reports)))
    if wanted not in reports:
        raise PersonaPlugError(f"no report is of {wanted!r}", hint=f"there are: {', '.join(reports)}")
    return wanted


def _columns(reports: Iterable[Report]) -> tuple[MetricName, ...]:
    """Collect the metrics of all reports in order."""
    names = dict.fromkeys(score.metric for report in reports for score in report.scores)
    if not names:
        raise PersonaPlugError("no report has a score", hint="the right answers of this split are not known: try dev")
    return tuple(names)


def _persona(reports: Mapping[str, Report], baseline: str) -> str | None:
    plugs = (label for label in _on_own_histories(reports) if reports[label].has_persona)
    return next((label for label in plugs if label != baseline), None)


def _on_own_histories(reports: Mapping[str, Report]) -> list[str]:
    return [label for label, report in reports.items() if report.setting.history == "own"]


def _with_strangers(reports: Mapping[str, Report]) -> Iterator[tuple[str, str]]:
    """Pair each method that was measured once with own and once with strangers' histories."""
    for method in dict.fromkeys(report.method for report in reports.values()):
        same = {label: report for label, report in reports.items() if report.method == method}
        own = _on_own_histories(same)
        strangers = [label for label, report in same.items() if report.setting.history == "stranger"]
        if len(own) == len(strangers) == 1:
            yield own[0], strangers[0]
