"""A bench's result as one page of HTML that needs nothing beside itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from personaplug.evaluation.averaging import average
from personaplug.evaluation.bench import BenchResult, Runs, TaskResult
from personaplug.evaluation.bench_markdown import DEV_NOTE, METHOD, choice_text
from personaplug.evaluation.page import template
from personaplug.evaluation.pictures import Look, draw_attention, draw_history_lengths, draw_scores, looks_of


@dataclass(frozen=True, slots=True)
class Section:
    """What the page shows of one task."""

    task: TaskResult
    looks: Mapping[str, Look]
    scores_picture: Markup
    lengths_picture: Markup
    attention_picture: Markup


def bench_html(result: BenchResult, runs: Sequence[Runs]) -> str:
    """Write the page.

    Args:
        result: The bench.
        runs: Each task's reports, in the order of the result's tasks.
    """
    machines = dict.fromkeys(report.setting.machine for task in runs for each in task.values() for report in each)
    page = template("bench.html").render(
        result=result,
        sections=[_section(task, each) for task, each in zip(result.tasks, runs, strict=True)],
        machine="; ".join(machines),
        METHOD=METHOD,
        DEV_NOTE=DEV_NOTE,
        choice_text=choice_text,
    )
    return page.encode("utf-8", errors="replace").decode("utf-8")


def _section(task: TaskResult, runs: Runs) -> Section:
    reports = {label: average(each) for label, each in runs.items()}
    looks = looks_of(task.comparison, reports)
    attention = {label: report.attention for label, report in reports.items() if report.attention}
    return Section(
        task=task,
        looks=looks,
        scores_picture=Markup(draw_scores(task.comparison, looks)),
        lengths_picture=Markup(draw_history_lengths(reports, task.comparison.metrics, looks)),
        attention_picture=Markup(draw_attention(attention, looks)) if attention else Markup(""),
    )
