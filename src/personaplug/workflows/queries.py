"""The queries that a run is trained with."""

from typing import Protocol

from personaplug.data.log import read_log
from personaplug.data.log_url import LogAddress
from personaplug.data.split import Examples
from personaplug.data.user_grouped_log import UserGroupedLog
from personaplug.tasks.task import Task
from personaplug.workflows.progress import Progress, counted


class Draw(Protocol):
    """What a run's configuration says of its queries."""

    @property
    def queries(self) -> int:
        """Training queries; 0 for all."""

    @property
    def dev_queries(self) -> int:
        """Dev queries."""

    @property
    def seed(self) -> int:
        """Of the draw."""


def draw_queries(log: LogAddress, task: Task, *, draw: Draw, progress: Progress) -> tuple[Examples, Examples]:
    """Read a log's train and dev queries, of each as many as the run asks for; users without any stay on disk."""
    with UserGroupedLog.of(counted(read_log(log, task, on_bad=progress.bad_row), "read", progress=progress)) as grouped:
        train = grouped.draw(task, "train", draw.queries or None, seed=draw.seed)
        dev = grouped.draw(task, "dev", draw.dev_queries, seed=draw.seed)
    return train, dev
