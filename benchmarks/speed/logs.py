"""The logs that are measured on: the real ones where they are at hand, the made-up sample otherwise."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from personaplug.data.log import Interaction, read_log, write_log
from personaplug.data.sample import SampleName, sample_log
from personaplug.data.split import Examples, split_examples
from personaplug.tasks.task import Split, Task, load_task

DATA = Path(os.environ.get("PERSONAPLUG_DATA", "build/data"))
_SAMPLE: SampleName = "sample-headlines"


@dataclass(frozen=True, slots=True)
class Log:
    """A log and its task.

    Attributes:
        name: For the table; says when the sample stands in.
        task: Reads the rows.
        rows: All of them.
    """

    name: str
    task: Task
    rows: tuple[Interaction, ...]

    def examples(self, split: Split) -> Examples:
        """Give a split's queries."""
        return split_examples(self.rows, self.task, split=split)


def open_log(file: str, task_name: str, *, is_quick: bool) -> Log:
    """Read a real log for a task; without it, or to try things out, the sample."""
    path = DATA / file
    if is_quick or not path.exists():
        task = load_task(_SAMPLE)
        return Log(f"the sample, in place of {task_name}", task, tuple(_sample(task, users=30 if is_quick else 300)))
    task = load_task(task_name)
    return Log(task_name, task, tuple(read_log(path, task)))


def _sample(task: Task, *, users: int) -> Iterator[Interaction]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sample.jsonl"
        write_log(sample_log(_SAMPLE, users=users), path)
        yield from read_log(path, task)
