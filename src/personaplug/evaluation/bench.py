"""What a bench comes to on one task: every contender over all seeds, compared, chosen and counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from statistics import fmean

from personaplug.evaluation.averaging import averages
from personaplug.evaluation.comparison import Comparison, SeedReports, compare_seeds
from personaplug.evaluation.cost import TrainingCost
from personaplug.evaluation.metrics import METRICS, MetricName
from personaplug.evaluation.published import PublishedScore
from personaplug.evaluation.report import Report
from personaplug.evaluation.scores import Score


@dataclass(frozen=True, slots=True)
class KScore:
    """A number of retrieved items, and how it fared on dev.

    Attributes:
        k: The number.
        score: Its mean over seeds.
        nats: The right answers' mean nats an answer over seeds, which decides between equal scores; None where a report
            has no likelihood.
    """

    k: int
    score: float
    nats: float | None = None


@dataclass(frozen=True, slots=True)
class KChoice:
    """The number of items that a retrieval method goes with, chosen on dev.

    Attributes:
        method: The contender, without the number.
        metric: By which it was chosen: the task's first.
        tried: All numbers tried, in order.
        chosen: The best; of equals that with the fewest nats an answer, then the smallest number.
        is_retrieval: Whether the items are all that the prompt has of a user.
    """

    method: str
    metric: MetricName
    tried: tuple[KScore, ...]
    chosen: KScore
    is_retrieval: bool = True

    @property
    def label(self) -> str:
        """The contender with its number, as a table names it."""
        return f"{self.method}, k={self.chosen.k}"


@dataclass(frozen=True, slots=True)
class CostRow:
    """What a contender costs; None where it was not measured.

    Attributes:
        label: The contender.
        seconds: For 1,000 answers, mean over seeds.
        peak_memory_mb: The most memory of a process that measured it, in MB of 10^6 bytes.
        gpu_memory_mb: The same of the GPU.
        prompt_tokens: That the language model reads of a query, vectors beside the input included.
        user_bytes: Kept of a user.
        training_seconds: Done once before any query, for all users; mean over the seeds that ended without a stop.
        training_seconds_a_user: The same for each user, where each is trained for or described.
    """

    label: str
    seconds: float | None
    peak_memory_mb: float
    gpu_memory_mb: float | None
    prompt_tokens: float | None
    user_bytes: float | None
    training_seconds: float | None = None
    training_seconds_a_user: float | None = None


@dataclass(frozen=True, slots=True)
class SeedRow:
    """A contender's main score seed by seed, in the order of the recipe's seeds."""

    label: str
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task of a bench.

    Attributes:
        task: Its name.
        split: Of the queries.
        queries: How many were measured.
        users: Of how many users.
        comparison: All contenders; gaps are to the tuned prompt, or to what stands for it.
        against_retrieval: The same with gaps to the retrieval method that was best on dev; None without any.
        choices: How many items each retrieval method goes with.
        seeds: The main score of each trained contender, seed by seed.
        costs: Of each contender on the users' own histories.
        made: When, where and with what it was measured, once for all reports of which that is the same.
        published: What others measured.
    """

    task: str
    split: str
    queries: int
    users: int
    comparison: Comparison
    against_retrieval: Comparison | None
    choices: tuple[KChoice, ...]
    seeds: tuple[SeedRow, ...]
    costs: tuple[CostRow, ...]
    made: tuple[str, ...] = ()
    published: tuple[PublishedScore, ...] = ()

    def measured(self, method: str, metric: MetricName) -> Score | None:
        """Find a method's score by its name, whatever number of items it goes with; None where it was not measured."""
        if metric not in self.comparison.metrics:
            return None
        place = self.comparison.metrics.index(metric)
        labels = {method, *(choice.label for choice in self.choices if choice.method == method)}
        return next((row.scores[place] for row in self.comparison.rows if row.label in labels), None)


@dataclass(frozen=True, slots=True)
class BenchResult:
    """A bench.

    Attributes:
        name: Of the recipe.
        recipe: Its text.
        seeds: Of what is trained.
        tasks: In the order of the recipe.
        source: Of the published scores; empty where there are none.
    """

    name: str
    recipe: str
    seeds: tuple[int, ...]
    tasks: tuple[TaskResult, ...]
    source: str = ""


def choose_k(
    method: str, metric: MetricName, *, dev: Mapping[int, Sequence[Report]], is_retrieval: bool = True
) -> KChoice:
    """Choose the number of items whose mean score over seeds is best on dev.

    Of equals it is that with the fewest nats an answer, and the smallest where these are equal or not known.

    Args:
        method: The contender.
        metric: The task's first.
        dev: Reports on dev by number of items, one a seed.
        is_retrieval: As in :class:`KChoice`.
    """
    tried = tuple(_tried(k, dev[k], metric=metric) for k in sorted(dev))
    return KChoice(method, metric, tried, tried[_best_place(tried, metric)], is_retrieval)


def best_retrieval(choices: Sequence[KChoice]) -> KChoice | None:
    """Choose the retrieval method that is best on dev; None where there is none.

    Of equals it is that with the fewest nats an answer, and the first where these are equal or not known.
    """
    alone = [choice for choice in choices if choice.is_retrieval]
    return alone[_best_place([choice.chosen for choice in alone], alone[0].metric)] if alone else None


def summarize(
    reports: SeedReports,
    choices: Sequence[KChoice],
    *,
    baseline: str | None = None,
    means: Mapping[str, Report] | None = None,
    trainings: Mapping[str, Sequence[TrainingCost]] | None = None,
    published: Sequence[PublishedScore] = (),
) -> TaskResult:
    """Compare all contenders of one task.

    Args:
        reports: All contenders'.
        choices: Of who has retrieved items in the prompt.
        baseline: The label of the control; None for the usual one.
        means: The reports' averages by label, where they are at hand.
        trainings: What was done before any query, by label, one a seed.
        published: What others measured.

    Raises:
        PersonaPlugError: The reports do not go together.
    """
    means = averages(reports) if means is None else means
    comparison, best = compare_seeds(reports, means=means, baseline=baseline), best_retrieval(choices)
    first = next(iter(reports.values()))[0]
    own = {label: each for label, each in means.items() if each.setting.history == "own"}
    return TaskResult(
        task=comparison.task,
        split=comparison.split,
        queries=len(first.answers),
        users=first.users,
        comparison=comparison,
        against_retrieval=compare_seeds(reports, means=means, baseline=best.label) if best else None,
        choices=tuple(choices),
        seeds=tuple(
            _seed_row(label, each, metric=comparison.metrics[0]) for label, each in reports.items() if len(each) > 1
        ),
        made=_made([report for each in reports.values() for report in each]),
        costs=tuple(_cost_row(label, each, trainings=(trainings or {}).get(label, ())) for label, each in own.items()),
        published=tuple(published),
    )


def _made(reports: Sequence[Report]) -> tuple[str, ...]:
    """Say of all reports with what they were measured, and on which days."""
    ways: dict[str, list[str]] = {}
    for setting in (report.setting for report in reports):
        on_and_with = " with ".join(filter(None, [setting.machine, setting.software]))
        ways.setdefault(on_and_with, []).append(setting.time[:10])  # the day of an ISO 8601 time
    return tuple(" ".join([*_days(days), "on", way]) for way, days in ways.items())


def _days(days: Sequence[str]) -> list[str]:
    """Write the first and the last day, in ISO 8601; nothing where one is not known."""
    ends = sorted({min(days), max(days)})
    return [" to ".join(ends)] if all(ends) else []


def _tried(k: int, reports: Sequence[Report], *, metric: MetricName) -> KScore:
    found = [report.score("nats-per-answer") for report in reports]
    nats = [score.value for score in found if score is not None]
    score = fmean(_value(report, metric) for report in reports)
    return KScore(k, score, fmean(nats) if len(nats) == len(reports) else None)


def _value(report: Report, metric: MetricName) -> float:
    score = report.score(metric)
    assert score is not None, "every dev query has an answer"
    return score.value


def _best_place(tried: Sequence[KScore], metric: MetricName) -> int:
    """Find the best; means that only rounding tells apart are equal."""
    badness = [_badness(each, metric) for each in tried]
    equals = [place for place, each in enumerate(badness) if isclose(each, min(badness))]
    nats = [each for place in equals if (each := tried[place].nats) is not None]
    return equals[nats.index(min(nats))] if len(nats) == len(equals) else equals[0]


def _badness(tried: KScore, metric: MetricName) -> float:
    return -tried.score if METRICS[metric].higher_is_better else tried.score


def _seed_row(label: str, reports: Sequence[Report], *, metric: MetricName) -> SeedRow:
    return SeedRow(label, tuple(_value(report, metric) for report in reports))


def _cost_row(label: str, report: Report, *, trainings: Sequence[TrainingCost]) -> CostRow:
    cost = report.cost
    return CostRow(
        label=label,
        seconds=cost.answer_seconds / len(report.answers) * 1000 if cost else None,
        peak_memory_mb=report.peak_memory_mb,
        gpu_memory_mb=cost.gpu_memory_mb if cost else None,
        prompt_tokens=cost.prompt_tokens if cost else None,
        user_bytes=cost.user_bytes if cost else None,
        training_seconds=_mean_of_known([each.seconds for each in trainings]),
        training_seconds_a_user=_mean_of_known([each.seconds_a_user for each in trainings]),
    )


def _mean_of_known(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return fmean(known) if known else None
