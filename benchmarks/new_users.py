"""Does a method do as well for users whom its training never saw?

    python -m benchmarks.new_users LOG METHOD/seed-0/test.json ... --against CONTROL/seed-0/test.json ...

Compares reports of one method, one a seed, with those of another: the control, or the same with strangers' histories.
The log has a column ``split``, as :mod:`benchmarks.make_spread_logs` writes it.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from personaplug.evaluation.comparison import gap
from personaplug.evaluation.metrics import MetricName
from personaplug.evaluation.report import Report


def trained_on(rows: Iterable[Mapping[str, str]]) -> set[str]:
    """Give the users who have training queries."""
    return {row["user_id"] for row in rows if row.get("split") == "train"}


def only(report: Report, users: set[str], *, inside: bool) -> Report:
    """Keep the answers of these users, or of all others."""
    return replace(report, answers=tuple(each for each in report.answers if (each.user_id in users) == inside))


def lines(
    ours: Sequence[Report], theirs: Sequence[Report], *, trained: set[str], metric: MetricName = "nats-per-answer"
) -> list[str]:
    """Say the difference among users with training queries, and among those without."""
    said = []
    for inside, whom in ((True, "users with training queries"), (False, "users whom training never saw")):
        mine, others = ([only(report, trained, inside=inside) for report in side] for side in (ours, theirs))
        if (answers := mine[0].answers) and (found := gap(metric, mine, theirs=others)):
            of = found.difference
            count = f"{len(answers)} queries of {len({each.user_id for each in answers})} {whom}"
            said.append(f"{count}: {metric} {of.value:+.2f} [{of.low:+.2f}, {of.high:+.2f}], {found.verdict}")
    return said


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--against", type=Path, nargs="+", required=True)
    given = parser.parse_args(words)
    with given.log.open(encoding="utf-8") as rows:
        trained = trained_on(map(json.loads, rows))
    ours, theirs = ([Report.read(path) for path in paths] for paths in (given.reports, given.against))
    print("\n".join(lines(ours, theirs, trained=trained)))  # noqa: T201


if __name__ == "__main__":
    main()
