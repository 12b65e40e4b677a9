"""The results as a table in Markdown, missed targets too."""

from collections.abc import Mapping
from typing import Any

from benchmarks.speed.row import Target

Rows = Mapping[str, Mapping[str, Any]]


def table(rows: Rows) -> str:
    """Write the figures beside their targets; the points of curves are left to the pictures."""
    lines = ["| what | measured on | result | target | |", "|---|---|---|---|---|"]
    lines += [_line(row) for name, row in sorted(rows.items()) if not name.startswith("growth/")]
    return "".join(f"{line}\n" for line in lines)


def _line(row: Mapping[str, Any]) -> str:
    target = Target(**row["target"]) if row["target"] else None
    goal = f"{target.bound} {target.value:.3g}" if target else ""
    verdict = ("reached" if target.holds(row["value"]) else "**missed**") if target else ""
    return f"| {row['name']} | {row['measured_on']} | {row['value']:.3g} {row['unit']} | {goal} | {verdict} |"
