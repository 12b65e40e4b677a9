"""All tasks of a bench at a glance: each contender's main scores, and what of them is the person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from personaplug.evaluation.bench import TaskResult
from personaplug.evaluation.comparison import Gap, Verdict
from personaplug.evaluation.metrics import MetricName
from personaplug.evaluation.scores import Score


@dataclass(frozen=True, slots=True)
class Cell:
    """A contender on a task.

    Attributes:
        score: By the task's main metric; None in the row of a control.
        gap: To the baseline, or own history less a stranger's; None for the baseline itself.
    """

    score: Score | None
    gap: Gap | None

    @property
    def verdict(self) -> Verdict:
        """Of the gap; unclear where there is none."""
        return self.gap.verdict if self.gap else "unclear"


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """A contender, or a control, on all tasks.

    Attributes:
        label: Without the number of items, which each task chooses for itself.
        cells: One a task; None where it was not measured.
    """

    label: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """A table of all tasks.

    Attributes:
        columns: Each task and its main metric.
        baseline: What gaps are to, as its row is named.
        rows: Contenders, then controls.
    """

    columns: tuple[tuple[str, MetricName], ...]
    baseline: str
    rows: tuple[OverviewRow, ...]


def overview(tasks: Sequence[TaskResult]) -> Overview | None:
    """Lay the tasks of a bench side by side; None where there is one alone.

    Args:
        tasks: All with the same baseline.
    """
    if len(tasks) < 2:
        return None
    return Overview(
        columns=tuple((task.task, task.comparison.metrics[0]) for task in tasks),
        baseline=_name(tasks[0].comparison.baseline, tasks[0]),
        rows=(*_rows([_contenders(task) for task in tasks]), *_rows([_controls(task) for task in tasks])),
    )


def _rows(found: Sequence[Mapping[str, Cell]]) -> list[OverviewRow]:
    labels = dict.fromkeys(label for cells in found for label in cells)
    return [OverviewRow(label, tuple(cells.get(label) for cells in found)) for label in labels]


def _contenders(task: TaskResult) -> dict[str, Cell]:
    return {_name(row.label, task): Cell(row.scores[0], row.gaps[0]) for row in task.comparison.rows}


def _controls(task: TaskResult) -> dict[str, Cell]:
    controls = task.comparison.controls
    return {f"{_name(each.label, task)}: own minus stranger's": Cell(None, each.gaps[0]) for each in controls}


def _name(label: str, task: TaskResult) -> str:
    """Take the number of items off a label."""
    for choice in task.choices:
        if label == choice.label or label.startswith(f"{choice.label}, "):
            return choice.method + label.removeprefix(choice.label)
    return label
