"""Draw how a crowd's figures grow, from the results.

python -m benchmarks.scale.pictures
"""

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator

from benchmarks.scale.crowd import BETWEEN, KEPT
from benchmarks.scale.law import FURTHER, Growth, growth, hits
from benchmarks.scale.results import read_rows
from benchmarks.speed.pictures import DOCS

PICTURE = DOCS / "scale-crowd.svg"


def main() -> None:
    """Write the picture, and say how far the largest crowd lies from each law."""
    rows = read_rows()
    figure = Figure(figsize=(13.5, 4.6), layout="constrained")
    found, disk, time = figure.subplots(1, 3)
    shares = {f"room for {kept:.0%} of the users": hits(rows, kept=kept) for kept in KEPT}
    changes = {f"a change after {between:,} requests": hits(rows, between=between) for between in BETWEEN}
    _draw(found, shares | changes, "found in memory, % of requests", factor=100)
    _draw(disk, {"SQLite's file": growth(rows, "file_mb")}, "MB on disk, 4 items a user")
    fetches = {
        "half of all fetches": growth(rows, "cpu_p50_ms"),
        "99 of 100 fetches": growth(rows, "cpu_p99_ms"),
    }
    _draw(time, fetches, "ms of a core to fetch a history")
    for words, each in (shares | changes | {"the file": growth(rows, "file_mb")} | fetches).items():
        print(f"{words}: {each.off_by:+.1%}, at {FURTHER:,}: {each.expected[FURTHER]:.4g}")  # noqa: T201
    with mpl.rc_context({"svg.hashsalt": PICTURE.stem}):
        FigureCanvasSVG(figure).print_svg(PICTURE, metadata={"Date": None})


def _draw(panel: Axes, curves: dict[str, Growth], ylabel: str, *, factor: float = 1) -> None:
    """Draw what was measured as dots, and each law as a line: dashed where nothing is measured."""
    for words, curve in curves.items():
        measured = sorted(curve.measured.items())
        (dots,) = panel.loglog(*_columns(measured, factor), "o", label=words)
        lawful = sorted({**dict(measured[:2]), **curve.expected}.items())
        panel.loglog(*_columns(lawful[:-1], factor), color=dots.get_color(), linewidth=1)
        panel.loglog(*_columns(lawful[-2:], factor), color=dots.get_color(), linewidth=1, linestyle="--")
    sizes = [*(users for users, _ in measured), FURTHER]
    panel.set_xticks(sizes, minor=False)
    panel.xaxis.set_major_formatter(EngFormatter())
    panel.minorticks_off()
    panel.set(xlabel="users", ylabel=ylabel)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    panel.grid(visible=True, alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def _columns(points: Sequence[tuple[int, float]], factor: float) -> tuple[list[int], list[float]]:
    return [users for users, _ in points], [factor * value for _, value in points]


if __name__ == "__main__":
    main()
