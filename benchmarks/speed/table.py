"""The results as a table in Markdown, a column a processor, missed targets too."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.speed.row import Target

Kept = Mapping[str, Any]
"""A row as the file of results has it."""

Rows = Mapping[str, Kept]


def table(results: Mapping[str, Rows]) -> str:
    """Write the figures of each processor beside their targets; curves' points and GPUs have places of their own."""
    names = sorted({name for rows in results.values() for name in rows if not name.startswith(("growth/", "gpu/"))})
    lines = [["what", "measured on", "aim", *results], ["---"] * (3 + len(results))]
    lines += [_line(name, [rows.get(name) for rows in results.values()]) for name in names]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def gpu_table(results: Mapping[str, Rows]) -> str:
    """Write what was measured on GPUs, which have no opponent's column beside them."""
    rows = [row for kept in results.values() for name, row in sorted(kept.items()) if name.startswith("gpu/")]
    lines = [["what", "measured on", "aim", "figure", "examples a second"], ["---"] * 5]
    lines += [[*_line(row["name"].removeprefix("gpu/"), [row]), _rate(row)] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def processor_of(rows: Rows) -> str:
    """Name the processor that rows were measured on."""
    machine: str = next(iter(rows.values()))["made"]["machine"]
    return machine.rpartition(", ")[2]


def _line(name: str, columns: Sequence[Kept | None]) -> list[str]:
    row = next(row for row in columns if row)
    target = Target(**row["target"]) if row["target"] else None
    goal = f"{target.bound} {target.value:.3g}" if target else ""
    return [name, row["measured_on"], goal, *(_cell(row, target) if row else "not measured" for row in columns)]


def _cell(row: Kept, target: Target | None) -> str:
    ends, threads = _ends(row), row["made"]["threads"]
    between = f" ({ends[0]:.3g} to {ends[1]:.3g})" if ends else ""
    words = [_verdict(row, target), "one thread" if threads == 1 else f"{threads} threads"]
    return f"{row['value']:.3g} {row['unit']}{between}<br>{', '.join(filter(None, words))}"


def _rate(row: Kept) -> str:
    rate = row["details"].get("examples_per_second")
    return f"{rate:.0f}" if rate else ""


def _verdict(row: Kept, target: Target | None) -> str:
    if target is None:
        return ""
    word = "reached" if target.holds(row["value"]) else "**missed**"
    is_clear = len({target.holds(end) for end in _ends(row)}) < 2
    return word if is_clear else f"{word}, but not by every pair"


def _ends(row: Kept) -> Sequence[float]:
    """Give the lowest and the highest pair's ratio, of rows that are measured in pairs."""
    details = row["details"]
    return [details[name] for name in ("lowest_ratio", "highest_ratio") if name in details]
