"""The pictures of a report, as SVG to stand inside a page."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from personaplug.evaluation.attention import ENTROPY_BINS, SLICES, AttentionSummary
from personaplug.evaluation.comparison import Comparison
from personaplug.evaluation.metrics import MetricName
from personaplug.evaluation.report import Report
from personaplug.reports.formatting import metric_title

INK, FAINT, BASELINE = "#1e293b", "#94a3b8", "#64748b"
COLORS = ("#0f766e", "#c2410c", "#4338ca", "#a21caf", "#4d7c0f", "#0369a1", "#b45309", "#be123c")
WIDTH = 9.6  # inches

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e2e8f0",
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True)
class Style:
    """How a method is drawn.

    Attributes:
        color: Of lines and dots.
        dash: As matplotlib writes it; a method with strangers' histories is dashed.
        fill: Of the dots, hollow where dashed.
        is_bold: Whether its lines stand out and lie in bands.
    """

    color: str
    dash: str
    fill: str
    is_bold: bool


def styles_of(comparison: Comparison, reports: Mapping[str, Report]) -> dict[str, Style]:
    """Give each method a style: gray for the baseline, bold for it, the persona and the persona of a stranger."""
    baseline, persona = comparison.baseline, comparison.persona
    methods = {report.method: report.has_persona for label, report in reports.items() if label != baseline}
    first = sorted(methods, key=lambda method: not methods[method])
    colors = {method: COLORS[place % len(COLORS)] for place, method in enumerate(first)}

    def style(label: str, report: Report) -> Style:
        color = BASELINE if label == baseline else colors[report.method]
        is_bold = persona is None or label == baseline or report.method == reports[persona].method
        is_own = report.setting.history == "own"
        return Style(color, "-" if is_own else "--", color if is_own else "white", is_bold)

    return {label: style(label, report) for label, report in reports.items()}


def draw_scores(comparison: Comparison, styles: Mapping[str, Style]) -> str:
    """Draw each method's scores as dots with their intervals, a panel a metric; a line marks the baseline."""
    rows = comparison.rows
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.8 + 0.3 * len(rows)), layout=_layout())
        panels = figure.subplots(1, len(comparison.metrics), sharey=True, squeeze=False)[0]
        for column, (axes, metric) in enumerate(zip(panels, comparison.metrics, strict=True)):
            axes.set_title(metric_title(metric))
            axes.grid(visible=False, axis="y")
            axes.spines["left"].set_visible(False)
            for place, row in enumerate(rows):
                if score := row.scores[column]:
                    style = styles[row.label]
                    axes.hlines(place, score.low, score.high, color=style.color, linewidth=2, linestyle=style.dash)
                    axes.plot(score.value, place, "o", color=style.color, markerfacecolor=style.fill, markersize=6)
                    if row.label == comparison.baseline:
                        axes.axvline(score.value, color=BASELINE, linewidth=0.9, linestyle=(0, (2, 3)), zorder=0)
            axes.margins(x=0.08)
        panels[0].set_yticks(range(len(rows)), [row.label for row in rows])
        panels[0].set_ylim(len(rows) - 0.4, -0.6)
        return _svg(figure, "scores")


def draw_history_lengths(
    reports: Mapping[str, Report], metrics: Sequence[MetricName], *, styles: Mapping[str, Style]
) -> str:
    """Draw scores against the length of the history, a panel a metric; bold lines lie in bands of their intervals."""
    titles = _bucket_titles(reports)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.3), layout=_layout())
        for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
            axes.set_title(metric_title(metric))
            axes.set_xlabel("items in the history")
            axes.set_xticks(range(len(titles)), titles)
            for label, report in reports.items():
                _draw_length_line(axes, report, metric=metric, titles=titles, label=label, style=styles[label])
            axes.margins(x=0.04)
        _add_legend(figure)
        return _svg(figure, "lengths")


def draw_attention(attention: Mapping[str, AttentionSummary], styles: Mapping[str, Style]) -> str:
    """Draw how even the weights are, and how they lie over age and over similarity."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.1), layout=_layout())
        evenness, age, similarity = figure.subplots(1, 3)
        edges = np.linspace(0, 1, ENTROPY_BINS + 1)
        middles = (np.arange(SLICES) + 0.5) / SLICES
        for label, summary in attention.items():
            style = styles[label]
            shares = np.array(summary.entropy_histogram) / summary.examples
            evenness.stairs(shares, edges, color=style.color, linestyle=style.dash, linewidth=1.6, label=label)
            evenness.stairs(shares, edges, color=style.color, fill=True, alpha=0.12)
            for axes, curve in ((age, summary.by_age), (similarity, summary.by_similarity)):
                axes.plot(
                    middles, curve, style.dash, color=style.color, marker="o", markersize=4, markerfacecolor=style.fill
                )
        _finish(evenness, "How even the weights are", below="entropy over its maximum", ends=("one item", "all alike"))
        _finish(age, "Weight against age", below="items by age", ends=("newest", "oldest"))
        _finish(
            similarity, "Weight against similarity", below="items by similarity to the query", ends=("least", "most")
        )
        evenness.set_ylabel("share of the queries")
        age.set_ylabel("times the fair share")
        for axes in (age, similarity):
            axes.axhline(1, color=BASELINE, linewidth=0.9, linestyle=(0, (2, 3)), zorder=0)
            axes.set_ylim(bottom=0)
        _add_legend(figure)
        return _svg(figure, "attention")


def _draw_length_line(
    axes: Axes, report: Report, *, metric: MetricName, titles: Sequence[str], label: str, style: Style
) -> None:
    found = [
        (titles.index(bucket.title), score)
        for bucket in report.buckets
        for score in bucket.scores
        if score.metric == metric
    ]
    places = [place for place, _ in found]
    values = [score.value for _, score in found]
    if style.is_bold:
        lows, highs = [score.low for _, score in found], [score.high for _, score in found]
        axes.fill_between(places, lows, highs, color=style.color, alpha=0.1, linewidth=0)
    axes.plot(
        places,
        values,
        style.dash,
        color=style.color,
        linewidth=2 if style.is_bold else 1,
        marker="o",
        markersize=5.5 if style.is_bold else 3.5,
        markerfacecolor=style.fill,
        label=label,
    )


def _bucket_titles(reports: Mapping[str, Report]) -> list[str]:
    buckets = {bucket.first: bucket.title for report in reports.values() for bucket in report.buckets}
    return [buckets[first] for first in sorted(buckets)]


def _finish(axes: Axes, title: str, *, below: str, ends: tuple[str, str]) -> None:
    axes.set_title(title)
    axes.set_xlabel(below)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 1], ends)
    axes.get_xticklabels()[0].set_horizontalalignment("left")
    axes.get_xticklabels()[1].set_horizontalalignment("right")


def _add_legend(figure: Figure) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))


def _layout() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(wspace=0.06)


def _svg(figure: Figure, name: str) -> str:
    """Write a figure as an SVG element, the same each time, without ids that another picture may have."""
    with mpl.rc_context({"svg.hashsalt": name}):
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    return re.sub(r'<g id="[^"]*"', "<g", svg)  # nothing refers to a group
