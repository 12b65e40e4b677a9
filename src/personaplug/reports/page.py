"""A comparison as one page of HTML that needs nothing beside itself."""

from collections.abc import Mapping
from statistics import mean, median

from jinja2 import Template
from markupsafe import Markup

from personaplug.evaluation.comparison import Comparison
from personaplug.evaluation.contrasts import draw_contrasts
from personaplug.evaluation.metrics import METRICS
from personaplug.evaluation.report import Report
from personaplug.evaluation.significance import FLIPS, RESAMPLES
from personaplug.reports import formatting
from personaplug.reports.pictures import draw_attention, draw_history_lengths, draw_scores, styles_of
from personaplug.reports.templates import environment

LONGEST_TEXT = 420  # characters of one text on the page; the report files hold all


def to_html(comparison: Comparison, reports: Mapping[str, Report], *, seed: int = 0) -> str:
    """Write the page.

    Args:
        comparison: Of the reports.
        reports: By the labels of the comparison.
        seed: Draws the answers that stand side by side.
    """
    baseline, persona = comparison.baseline, comparison.persona
    attention = {label: report.attention for label, report in reports.items() if report.attention}
    styles = styles_of(comparison, reports)
    lengths = [answer.history_items for answer in reports[baseline].answers]
    page = template("page.html").render(
        comparison=comparison,
        reports=reports,
        baseline=reports[baseline],
        mean_items=mean(lengths),
        median_items=median(lengths),
        persona=next((row for row in comparison.rows if row.label == persona), None),
        control=next((control for control in comparison.controls if control.label == persona), None),
        styles=styles,
        attention=attention,
        scores_picture=Markup(draw_scores(comparison, styles)),
        lengths_picture=Markup(draw_history_lengths(reports, comparison.metrics, styles=styles)),
        attention_picture=Markup(draw_attention(attention, styles)) if attention else "",
        contrasts=draw_contrasts(persona, baseline, reports=reports, seed=seed) if persona else None,
        seed=seed,
    )
    return page.encode("utf-8", errors="replace").decode("utf-8")  # a lone surrogate of a broken log cannot be written


def template(name: str) -> Template:
    """Load a template that escapes every text put into it."""
    templates = environment("reports")
    templates.globals |= {
        "formatting": formatting,
        "METRICS": METRICS,
        "RESAMPLES": RESAMPLES,
        "FLIPS": FLIPS,
        "LONGEST_TEXT": LONGEST_TEXT,
    }
    return templates.get_template(name)
