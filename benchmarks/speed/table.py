"""The results as a table in Markdown, missed targets too."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.speed.row import Target

Rows = Mapping[str, Mapping[str, Any]]


def table(rows: Rows) -> str:
    """Write the figures beside their targets; the points of curves are left to the pictures."""
    lines = ["| what | measured on | threads | result | target | |", "|---|---|---|---|---|---|"]
    lines += [_line(row) for name, row in sorted(rows.items()) if not name.startswith("growth/")]
    return "".join(f"{line}\n" for line in lines)


def _line(row: Mapping[str, Any]) -> str:
    target = Target(**row["target"]) if row["target"] else None
    goal = f"{target.bound} {target.value:.3g}" if target else ""
    threads = row["made"]["threads"]
    return f"| {row['name']} | {row['measured_on']} | {threads} | {_result(row)} | {goal} | {_verdict(row, target)} |"


def _result(row: Mapping[str, Any]) -> str:
    ends = _ends(row)
    between = f" ({ends[0]:.3g} to {ends[1]:.3g})" if ends else ""
    return f"{row['value']:.3g} {row['unit']}{between}"


def _verdict(row: Mapping[str, Any], target: Target | None) -> str:
    if target is None:
        return ""
    word = "reached" if target.holds(row["value"]) else "**missed**"
    is_clear = len({target.holds(end) for end in _ends(row)}) < 2
    return word if is_clear else f"{word}, but not by every pair"


def _ends(row: Mapping[str, Any]) -> Sequence[float]:
    """Give the lowest and the highest pair's ratio, of rows that are measured in pairs."""
    details = row["details"]
    return [details[name] for name in ("lowest_ratio", "highest_ratio") if name in details]
