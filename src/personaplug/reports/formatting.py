"""How numbers of a comparison are written, the same in the terminal, in Markdown and on the page."""

from personaplug.evaluation.comparison import Gap
from personaplug.evaluation.metrics import METRICS, MetricName
from personaplug.evaluation.scores import Score
from personaplug.reports.overview import Cell

MISSING = "\N{EN DASH}"
MARKS = {"better": "▲", "worse": "▼", "unclear": ""}


def metric_title(metric: MetricName) -> str:
    """Name a metric, with an arrow to where better scores lie."""
    return f"{METRICS[metric].title} {'↑' if METRICS[metric].higher_is_better else '↓'}"


def score_text(score: Score | None) -> str:
    """Write a score, as in ``0.372``."""
    return _number(score.value) if score else MISSING


def score_interval(score: Score) -> str:
    """Write a score's interval, as in ``[0.351, 0.393]``."""
    return f"[{_number(score.low)}, {_number(score.high)}]"


def gap_text(gap: Gap) -> str:
    """Write a difference, as in ``+0.022``."""
    return _signed(gap.difference.value)


def gap_interval(gap: Gap) -> str:
    """Write a difference's interval, as in ``[+0.005, +0.039]``."""
    return f"[{_signed(gap.difference.low)}, {_signed(gap.difference.high)}]"


def p_text(gap: Gap) -> str:
    """Write a p-value, as in ``0.012`` or ``<0.001``."""
    return "<0.001" if gap.difference.p_value < 0.001 else f"{gap.difference.p_value:.3f}"


def cell_text(cell: Cell | None) -> str:
    """Write a score, or the difference of a control, with a mark where it is clear, as in ``0.361 ▲``."""
    if cell is None:
        return MISSING
    number = gap_text(cell.gap) if cell.gap and cell.score is None else score_text(cell.score)
    return f"{number} {MARKS[cell.verdict]}".rstrip()


def overview_note(baseline: str) -> str:
    """Say what an overview shows."""
    return (
        f"The main score of each task. ▲ is clearly better, ▼ clearly worse than {baseline}; below, the own history "
        "than a stranger's. Intervals and tests stand with each task."
    )


def cost_text(number: float | None, *, decimals: int = 0) -> str:
    """Write what something costs, as in ``1,204``."""
    return MISSING if number is None else f"{number:,.{decimals}f}"


def plain_score(number: float) -> str:
    """Write a score without interval."""
    return _number(number)


def _signed(number: float) -> str:
    """Write a number with its sign, a true minus, and none on a zero."""
    text = _number(number, sign="+")
    return "0.000" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _number(number: float, *, sign: str = "") -> str:
    """Write a number in as many characters whatever its size, so that a table keeps its width."""
    decimals = max(0, 3 - len(str(int(abs(number)))) + 1)
    return f"{number:{sign}.{decimals}f}"
