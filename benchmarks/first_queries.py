"""Compare a bench's contenders on each user's first measured query alone.

One adapter answers all queries of a user, so it has read no more than the first of them may see; plug and retrieval
read all that came before each query. On first queries all have read the same.

    python -m benchmarks.first_queries build/rivals/acl-venue
"""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from personaplug.evaluation.answers import Answer
from personaplug.evaluation.comparison import SeedReports, compare_seeds
from personaplug.evaluation.markdown import to_markdown
from personaplug.evaluation.report import Report
from personaplug.evaluation.scores import scores_of


def main() -> None:
    """Write the comparison in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path, help="a task's folder in the folder of a bench")
    print(to_markdown(compare_seeds(reports_in(parser.parse_args().task))))  # noqa: T201 (a command's result)


def reports_in(task: Path) -> SeedReports:
    """Read each contender's reports of test, one a seed, of first queries alone."""
    found: dict[str, list[Report]] = {}
    for path in sorted(task.glob("*/*/test*.json")):
        found.setdefault(path.parent.parent.name, []).append(of_first_queries(Report.read(path)))
    return found


def of_first_queries(report: Report) -> Report:
    """Leave of each user the answer to the query with the shortest history, and score what is left."""
    answers = tuple(_first_of_each_user(report.answers))
    scores = scores_of(answers, [each.metric for each in report.scores], report.labels, seed=report.setting.seed)
    return replace(report, answers=answers, scores=scores, buckets=())


def _first_of_each_user(answers: Iterable[Answer]) -> Iterable[Answer]:
    first: dict[str, Answer] = {}
    for answer in sorted(answers, key=lambda each: (each.history_items, each.id)):
        first.setdefault(answer.user_id, answer)
    return first.values()


if __name__ == "__main__":
    main()
