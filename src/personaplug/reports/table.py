"""Scores in the terminal."""

from collections.abc import Mapping, Sequence
from textwrap import fill

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from personaplug.evaluation.comparison import Comparison, Gap
from personaplug.evaluation.report import Report
from personaplug.evaluation.scores import Score
from personaplug.reports.formatting import (
    MISSING,
    cell_text,
    gap_interval,
    gap_text,
    metric_title,
    overview_note,
    p_text,
    score_interval,
    score_text,
)
from personaplug.reports.overview import Cell, Overview

_STYLES = {"better": "bold green", "worse": "bold red", "unclear": "dim"}


def comparison_table(comparison: Comparison) -> Table:
    """Lay out a comparison: for each metric a row a method, and below them the controls."""
    table = _table(f"{comparison.task}, {comparison.split}; differences to {comparison.baseline}")
    table.add_column("", min_width=17, overflow="fold")
    for column in ("score", "95% interval", "diff.", "95% interval", "p", ""):
        table.add_column(column, no_wrap=True, justify="right" if column else "left")
    for place, metric in enumerate(comparison.metrics):
        table.add_row(Text(metric_title(metric), style="bold"))
        for row in comparison.rows:
            table.add_row(_indented(row.label), *_score(row.scores[place]), *_gap(row.gaps[place]))
        for control in comparison.controls:
            table.add_row(_indented(f"{control.label}, own minus stranger's"), "", "", *_gap(control.gaps[place]))
        table.add_section()
    return table


def report_table(report: Report) -> Table:
    """Lay out one report: a row a metric."""
    table = _table(f"{report.task}, {report.setting.split}: {report.label}")
    for column in ("", "score", "95% interval", "answers", "users"):
        table.add_column(column, justify="left" if not column else "right")
    for score in report.scores:
        table.add_row(metric_title(score.metric), *_score(score), f"{score.answers:,}", f"{score.users:,}")
    return table


def answers_table(reports: Sequence[Report], *, names: Mapping[str, str], count: int) -> Table:
    """Lay out the first answers side by side: of each user one, in the order of the queries, none picked.

    Args:
        reports: On the same queries; the first one's targets are shown as what the user wrote.
        names: What to call each report, by its label.
        count: Queries shown.
    """
    table = _table(f"{reports[0].task}: the first answers, one a user")
    table.show_header = False
    table.add_column("", min_width=17, overflow="fold")
    table.add_column("", overflow="fold")
    for at in _first_of_users(reports[0], count):
        asked = reports[0].answers[at]
        table.add_row(Text("asked", style="dim"), Text(asked.input, style="dim"))
        table.add_row(Text("the user wrote"), Text(asked.target or MISSING, style="bold green"))
        for report in reports:
            table.add_row(Text(names[report.label]), Text(report.answers[at].prediction))
        table.add_section()
    return table


def overview_table(overview: Overview) -> Table:
    """Lay out all tasks of a bench: a row a contender."""
    table = _table("all tasks")
    table.caption, table.caption_justify = Text(overview_note(overview.baseline), style="dim"), "left"
    table.add_column("", min_width=17, overflow="fold")
    for task, metric in overview.columns:
        name = fill(task, 9, break_long_words=False)
        table.add_column(Text(f"{name}\n{metric_title(metric)}"), justify="right", vertical="bottom", overflow="fold")
    for row in overview.rows:
        table.add_row(Text(row.label), *map(_cell, row.cells))
    return table


def _first_of_users(report: Report, count: int) -> list[int]:
    """Say where the first query of each user stands, of the first users."""
    first: dict[str, int] = {}
    for at, answer in enumerate(report.answers):
        first.setdefault(answer.user_id, at)
    return list(first.values())[:count]


def _cell(cell: Cell | None) -> Text:
    style = _STYLES[cell.verdict] if cell and cell.verdict != "unclear" else ""
    return Text(cell_text(cell), style=style)


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="dim",
        padding=0,
    )


def _indented(label: str) -> Padding:
    return Padding(Text(label), (0, 0, 0, 2))


def _score(score: Score | None) -> tuple[Text, Text]:
    if score is None:
        return Text(MISSING, style="dim"), Text("")
    return Text(score_text(score), style="bold"), Text(score_interval(score), style="dim")


def _gap(gap: Gap | None) -> tuple[Text, ...]:
    if gap is None:
        return ()
    verdict = Text(gap.verdict, style=_STYLES[gap.verdict])
    return Text(gap_text(gap)), Text(gap_interval(gap), style="dim"), Text(p_text(gap)), verdict
