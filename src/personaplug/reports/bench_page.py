"""A bench's result as one page of HTML that needs nothing beside itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from personaplug.evaluation.bench import BenchResult, TaskResult
from personaplug.evaluation.report import Report
from personaplug.reports.bench_markdown import COSTS, DEV_NOTE, METHOD, choice_text, costs_in_words, made_in_words
from personaplug.reports.overview import overview
from personaplug.reports.page import template
from personaplug.reports.pictures import Style, draw_attention, draw_history_lengths, draw_scores, styles_of


@dataclass(frozen=True, slots=True)
class Section:
    """What the page shows of one task."""

    task: TaskResult
    styles: Mapping[str, Style]
    scores_picture: Markup
    lengths_picture: Markup
    attention_picture: Markup


def bench_html(result: BenchResult, means: Sequence[Mapping[str, Report]]) -> str:
    """Write the page.

    Args:
        result: The bench.
        means: Each task's reports, averaged over seeds, by label, in the order of the result's tasks.
    """
    page = template("bench.html").render(
        result=result,
        overview=overview(result.tasks),
        sections=[_section(task, each) for task, each in zip(result.tasks, means, strict=True)],
        made_in_words=made_in_words,
        METHOD=METHOD,
        DEV_NOTE=DEV_NOTE,
        choice_text=choice_text,
        COSTS=COSTS,
        costs_in_words=costs_in_words,
    )
    return page.encode("utf-8", errors="replace").decode("utf-8")


def _section(task: TaskResult, reports: Mapping[str, Report]) -> Section:
    styles = styles_of(task.comparison, reports)
    attention = {label: report.attention for label, report in reports.items() if report.attention}
    return Section(
        task=task,
        styles=styles,
        scores_picture=Markup(draw_scores(task.comparison, styles)),
        lengths_picture=Markup(draw_history_lengths(reports, task.comparison.metrics, styles=styles)),
        attention_picture=Markup(draw_attention(attention, styles)) if attention else Markup(""),
    )
