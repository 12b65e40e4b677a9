"""Compare a finished bench's contenders with any of them; on each user's first measured query alone, where asked.

One adapter answers all queries of a user, so it has read no more than the first of them may see; plug and retrieval
read all that came before each query. On first queries all have read the same.

    python -m benchmarks.contenders build/rivals/acl-venue --baseline plug
    python -m benchmarks.contenders build/rivals/acl-venue --first
    python -m benchmarks.contenders build/rivals/acl-venue --first --baseline user-lora
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from personaplug.bench.json_files import read_json
from personaplug.bench.provenance import FILE
from personaplug.bench.recipe import slug
from personaplug.config import from_mapping
from personaplug.errors import DataError
from personaplug.evaluation.answers import Answer
from personaplug.evaluation.bench import BenchResult, TaskResult
from personaplug.evaluation.comparison import SeedReports, compare_seeds
from personaplug.evaluation.report import Report
from personaplug.evaluation.scores import scores_of
from personaplug.reports.markdown import to_markdown


@dataclass(frozen=True, slots=True)
class FirstQueries:
    """The first measured query of each user.

    Attributes:
        queries: Who asked, and the id.
        left_out: How many users have none that is known: each of several queries shows the most items that the task
            allows, and which of them is the first no report says.
        most: Those items.
    """

    queries: frozenset[tuple[str, str]]
    left_out: int
    most: int

    @property
    def in_words(self) -> str:
        """Say how many users are left, and why not all."""
        reason = f"whose several queries each show the most items that the task allows ({self.most:,})"
        return f"First queries of {len(self.queries):,} users; left out: {self.left_out:,} users, {reason}."


def main() -> None:
    """Write the comparison in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path, help="a task's folder in the folder of a bench")
    parser.add_argument("--baseline", metavar="LABEL", help="differences are to it; the bench's own where not given")
    parser.add_argument("--first", action="store_true", help="on each user's first measured query alone")
    given = parser.parse_args()
    print(comparison_markdown(given.task, baseline=given.baseline, first=given.first))  # noqa: T201 (a command's result)


def comparison_markdown(folder: Path, *, baseline: str | None = None, first: bool = False) -> str:
    """Compare on all queries, or on first ones alone.

    Args:
        folder: Of a task in a finished bench.
        baseline: A label of the bench's tables, one of a stranger's history too; None for the bench's own baseline.
        first: Compare on each user's first measured query alone.

    Raises:
        PersonaPlugError: The bench is not finished, or has no such label.
    """
    bench = _bench_of(folder)
    task = _task_of(folder, bench)
    reports = reports_in(folder, task, seeds=bench.seeds)
    baseline = baseline or task.comparison.baseline
    if not first:
        return to_markdown(compare_seeds(reports, baseline=baseline))
    asked = first_queries(reports[task.costs[0].label][0].answers, most=_most_items(folder))
    left = {label: [only(report, asked) for report in each] for label, each in reports.items()}
    return f"{asked.in_words}\n\n{to_markdown(compare_seeds(left, baseline=baseline))}"


def reports_in(folder: Path, task: TaskResult, *, seeds: Sequence[int]) -> SeedReports:
    """Read the reports that a task's result is of, strangers' too, by label.

    The folder may hold more: of a number of items that dev chose before, of a seed that the recipe had before.
    """
    found: dict[str, list[Report]] = {}
    for row in task.costs:
        choice = next((each for each in task.choices if each.label == row.label), None)
        contender = folder / slug(choice.method if choice else row.label)
        cells = [contender / f"seed-{seed}" for seed in seeds if (contender / f"seed-{seed}").exists()]
        ending = f"-k{choice.chosen.k}.json" if choice else ".json"
        for paths in _measured(cells or [contender / "once"], ending):
            reports = [replace(Report.read(path), method=row.label) for path in paths]
            found[reports[0].label] = reports
    return found


def first_queries(answers: Sequence[Answer], *, most: int) -> FirstQueries:
    """Find each user's first query by the length of its history.

    Args:
        answers: To the measured queries, with the users' own histories.
        most: Items that a history has at most; of a user's histories with fewer, two of equal length are the same.
    """
    of_user: dict[str, list[Answer]] = {}
    for answer in sorted(answers, key=lambda each: (each.history_items, each.id)):
        of_user.setdefault(answer.user_id, []).append(answer)
    known = [each[0] for each in of_user.values() if len(each) == 1 or each[0].history_items < most]
    return FirstQueries(frozenset(answer.query for answer in known), len(of_user) - len(known), most)


def only(report: Report, first: FirstQueries) -> Report:
    """Leave the answers to first queries, and score them."""
    answers = tuple(answer for answer in report.answers if answer.query in first.queries)
    scores = scores_of(answers, [each.metric for each in report.scores], labels=report.labels, seed=report.setting.seed)
    return replace(report, answers=answers, scores=scores, buckets=())


def _bench_of(folder: Path) -> BenchResult:
    path = folder.parent / "report.json"
    if not path.exists():
        raise DataError("there is no result of a bench", path=path, hint="run `personaplug bench` to its end")
    return from_mapping(BenchResult, read_json(path), where=str(path))


def _task_of(folder: Path, bench: BenchResult) -> TaskResult:
    found = next((task for task in bench.tasks if slug(task.task) == folder.name), None)
    if found is None:
        names = ", ".join(slug(task.task) for task in bench.tasks)
        raise DataError("the bench has no such task", path=folder, hint=f"name the folder of one of: {names}")
    return found


def _measured(cells: Sequence[Path], ending: str) -> list[list[Path]]:
    """Name the reports of a contender, one a seed: with own histories, then with strangers' where these were measured.

    Where ``k`` was chosen by the measured queries themselves, the reports on dev are those of the result.
    """
    tests, devs, strangers = ([cell / f"{name}{ending}" for cell in cells] for name in ("test", "dev", "stranger"))
    own = tests if tests[0].exists() else devs
    return [own, strangers] if strangers[0].exists() else [own]


def _most_items(folder: Path) -> int:
    return int(read_json(folder / FILE)["task"]["history"]["max_items"])


if __name__ == "__main__":
    main()
