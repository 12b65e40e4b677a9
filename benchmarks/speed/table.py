"""A topic's results as a table in Markdown, missed targets too."""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.speed.results import Kept, Rows
from benchmarks.speed.row import Target
from benchmarks.speed.topics import Line, Topic

_UNITS = {"x": "x as fast", "ms at p99": "ms (99th percentile)", "s of CPU": "CPU seconds"}
_OURS = {
    "our_seconds": "s",
    "our_mb": "MB",
    "large_mb": "MB",
    "our_examples_per_second": "examples a second",
    "examples_per_second": "examples a second",
    "our_queries_per_second": "queries a second",
    "our_texts_per_second": "texts a second",
}


def table(topic: Topic, results: Mapping[str, Rows]) -> str:
    """Write figures, aims and verdicts: a row a machine, or a column a machine that measured any of it."""
    names = {name for line in topic.lines for name in line.rows}
    measured = {machine: rows for machine, rows in results.items() if names & rows.keys()}
    if topic.columns:
        head = ["what", "against", "on", "aim", *topic.columns]
        lines = list(_a_row_a_machine(topic, measured))
    else:
        head = ["what", "against", "aim", *measured]
        lines = list(_a_column_a_machine(topic, measured))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [head, ["---"] * len(head), *lines])


def _a_row_a_machine(topic: Topic, results: Mapping[str, Rows]) -> Iterator[list[str]]:
    for line in topic.lines:
        for machine, rows in results.items():
            if any(found := [rows.get(name) for name in line.rows]):
                yield [line.what, line.against, f"{machine}, {_threads(found)}", _aim(found), *_cells(line, found)]


def _a_column_a_machine(topic: Topic, results: Mapping[str, Rows]) -> Iterator[list[str]]:
    for line in topic.lines:
        if any(found := [rows.get(name) for rows in results.values() for name in line.rows]):
            yield [line.what, line.against, _aim(found), *_cells(line, found)]


def _threads(rows: Sequence[Kept | None]) -> str:
    counts = sorted({row["made"]["threads"] for row in rows if row})
    return " or ".join("one thread" if count == 1 else f"{count} threads" for count in counts)


def _aim(rows: Sequence[Kept | None]) -> str:
    """Write the aim of rows of one kind; all of them, where machines have different ones."""
    aims = [
        f"{row['target']['bound']} {row['target']['value']:.3g} {_unit(row)}" for row in rows if row and row["target"]
    ]
    return " or ".join(dict.fromkeys(aims)) or "none"


def _cells(line: Line, rows: Sequence[Kept | None]) -> list[str]:
    return [f"{_figure(row, line.ours)}<br>{_verdict(row)}" if row else "not measured" for row in rows]


def _figure(row: Kept, ours: str) -> str:
    """Write a row's figure, the range of its pairs in brackets, and what ours takes by itself."""
    ends = [_number(end) for end in _ends(row)]
    between = f" ({' to '.join(ends)})" if ends else ""
    itself = f", {_number(row['details'][ours])} {_OURS[ours]}" if ours else ""
    return f"{_number(row['value'])} {_unit(row)}{between}{itself}"


def _verdict(row: Kept) -> str:
    if not row["target"]:
        return "no aim"
    target = Target(**row["target"])
    word = "reached" if target.holds(row["value"]) else "**missed**"
    is_clear = len({target.holds(end) for end in _ends(row)}) < 2
    return word if is_clear else f"{word}, not by every pair"


def _ends(row: Kept) -> Sequence[float]:
    """Give the lowest and the highest pair's ratio, of rows that are measured in pairs."""
    details = row["details"]
    return [details[name] for name in ("lowest_ratio", "highest_ratio") if name in details]


def _unit(row: Kept) -> str:
    unit: str = row["unit"]
    return _UNITS.get(unit, unit)


def _number(value: float) -> str:
    """Write three digits or so: 0.36, 3.90, 17.1, 843."""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
