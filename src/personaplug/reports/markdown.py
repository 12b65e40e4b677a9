"""A comparison as a Markdown table, for a README or an issue."""

from personaplug.evaluation.comparison import Comparison, Gap
from personaplug.evaluation.scores import Score
from personaplug.reports.formatting import (
    MISSING,
    gap_interval,
    gap_text,
    metric_title,
    p_text,
    score_interval,
    score_text,
)


def to_markdown(comparison: Comparison) -> str:
    """Write the table of a comparison."""
    header = ["", *(metric_title(metric) for metric in comparison.metrics)]
    rows = [
        [f"**{escape(row.label)}**", *(_score_and_gap(*pair) for pair in zip(row.scores, row.gaps, strict=True))]
        for row in comparison.rows
    ]
    rows += [
        [f"{escape(control.label)}: own minus stranger's", *map(gap_cell, control.gaps)]
        for control in comparison.controls
    ]
    title = f"{escape(comparison.task)}, {comparison.split}."
    notes = f"95% intervals over users; differences to {escape(comparison.baseline)}."
    lines = [header, ["---"] * len(header), *rows]
    return f"{title} {notes}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _score_and_gap(score: Score | None, gap: Gap | None) -> str:
    if score is None:
        return MISSING
    text = f"**{score_text(score)}** {score_interval(score)}"
    return text if gap is None else f"{text}<br>{gap_cell(gap)}"


def gap_cell(gap: Gap | None) -> str:
    """Write a difference with its interval, p and verdict."""
    return MISSING if gap is None else f"{gap_text(gap)} {gap_interval(gap)}, p {p_text(gap)}, {gap.verdict}"


def escape(text: str) -> str:
    """Keep a name from ending its cell or becoming markup."""
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
