"""Draw the growth curves of the results and write the tables of docs/performance.md and docs/measuring-speed.md.

python -m benchmarks.speed.pictures
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from benchmarks.speed.results import Rows, read_results
from benchmarks.speed.table import table
from benchmarks.speed.topics import TOPICS

Curves = Mapping[str, Mapping[int, float]]

DOCS = Path(__file__).parent.parent.parent / "docs"
AXES = {
    "users": "users of 100 items in a store",
    "items": "items a user",
    "batch": "users in a batch",
    "prefix": "persona vectors",
}
_END = "<!-- end -->"
_UNITS = {"seconds": "seconds", "ms": "milliseconds", "mb": "MB"}
_NAMES = {
    "our": "ours",
    "published": "the published procedure",
    "p50": "half of all fetches",
    "p99": "99 of 100 fetches",
}
_HALF_A_DECADE = 10**0.5


def main() -> None:
    """Draw, and put each topic's table between its marks on its page."""
    results = read_results()
    for axis, words in AXES.items():
        if curves := next(filter(None, (curves_of(rows, axis) for rows in results.values())), None):
            _save(draw(curves, words), DOCS / f"growth-{axis}.svg")
    for name, topics in TOPICS.items():
        page = (DOCS / name).read_text(encoding="utf-8")
        for topic in topics:
            page = between(page, topic.mark, table(topic, results))
        (DOCS / name).write_text(page, encoding="utf-8")


def curves_of(rows: Rows, axis: str) -> Curves:
    """Collect the curves over one axis."""
    start = f"growth/{axis}/"
    return {
        name.removeprefix(start): {int(at): value for at, value in row["details"].items()}
        for name, row in rows.items()
        if name.startswith(start)
    }


def draw(curves: Curves, words: str) -> Figure:
    """Draw time and memory side by side, both axes logarithmic."""
    units = sorted({_unit(curve) for curve in curves}, reverse=True)
    figure = Figure(figsize=(4.5 * len(units), 3.4), layout="constrained")
    for place, unit in enumerate(units, start=1):
        panel = figure.add_subplot(1, len(units), place)
        for curve, points in curves.items():
            if _unit(curve) == unit:
                panel.loglog(*zip(*sorted(points.items()), strict=True), marker="o", label=_words(curve))
        panel.set(xlabel=words, ylabel=unit)
        _plain(panel, sorted({at for points in curves.values() for at in points}))
    return figure


def between(page: str, mark: str, text: str) -> str:
    """Put text between a mark and the next end of one.

    Raises:
        ValueError: The page has no such mark, or no end of it before the next mark.
    """
    before, begin, rest = page.partition(f"<!-- {mark} -->")
    old, end, after = rest.partition(_END)
    if not (begin and end) or "<!-- " in old:
        raise ValueError(f"the page has no place for a table: <!-- {mark} --> and after it {_END}")
    return f"{before}{begin}\n{text}{_END}{after}"


def _save(figure: Figure, path: Path) -> None:
    """Write the same file for the same figure."""
    with mpl.rc_context({"svg.hashsalt": path.stem}):
        FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})


def _plain(panel: Axes, points: Sequence[int]) -> None:
    """Name measured points alone, in plain numbers, and show a decade at least: a small change shall look small."""
    panel.set_xticks(points, [f"{point:,}" for point in points], minor=False)
    panel.minorticks_off()
    low, high = panel.get_ylim()
    middle = (low * high) ** 0.5
    panel.set_ylim(min(low, middle / _HALF_A_DECADE), max(high, middle * _HALF_A_DECADE))
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    panel.grid(visible=True, alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False)


def _unit(curve: str) -> str:
    return _UNITS[curve.rpartition("_")[2]]


def _words(curve: str) -> str:
    return _NAMES.get(name := curve.rpartition("_")[0], name.replace("_", " "))


if __name__ == "__main__":
    main()
