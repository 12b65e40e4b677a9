"""Where a bench keeps what it makes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from personaplug.bench.recipe import Contender, Source, slug
from personaplug.data.rows import OnBad, refuse
from personaplug.errors import DataError
from personaplug.tasks.task import Task
from personaplug.workflows.progress import Progress, Silence

Measured = Literal["dev", "test", "stranger"]
"""What is asked: dev queries, the measured ones, and these with strangers' histories."""


@dataclass(frozen=True, slots=True)
class TaskLayout:
    """The folder of one task.

    Attributes:
        source: As the recipe has it.
        task: The task.
        task_file: What names the task to other commands.
        given: The log, or the folder of LaMP's files, that the recipe names; for a sample the log to be made.
        folder: Of all that is made.
        skips_bad: Whether rows that cannot be read are left out; the check tells of them, once.
        screen: Makes what shows how far a step is, of what hears of bad rows; a class, as steps go to other processes.
    """

    source: Source
    task: Task
    task_file: str
    given: Path
    folder: Path
    skips_bad: bool = False
    screen: Callable[[OnBad], Progress] = Silence

    @property
    def log(self) -> Path:
        """The log that is read: the recipe's own, or the one made here."""
        return self.given if self.source.log else self.folder / "log.jsonl"

    @property
    def on_bad(self) -> OnBad | None:
        """What becomes of a row that cannot be read, in a step; None where it is an error."""
        return _leave_out if self.skips_bad else None

    @property
    def progress(self) -> Progress:
        """What shows how far a step is."""
        return self.screen(self.on_bad or refuse)

    @property
    def store(self) -> Path:
        """The index of the log."""
        return self.folder / "store.db"

    @property
    def indexed(self) -> Path:
        """Stands where the index is finished."""
        return self.folder / "indexed.json"

    @property
    def shared_inputs(self) -> Path:
        """What the frozen model made of training inputs, for all trainings; it goes when the task is done."""
        return self.folder / ".inputs"  # no method's folder begins so

    def of(self, contender: Contender) -> Path:
        """Give the folder of a contender."""
        return self.folder / slug(contender.name)

    def cell(self, contender: Contender, seed: int | None) -> Path:
        """Give the folder of a contender with a seed; None for one that is not trained."""
        return self.of(contender) / ("once" if seed is None else f"seed-{seed}")

    def run(self, contender: Contender, seed: int | None, *, k: int | None = None, on: Measured = "test") -> Path:
        """Give the folder of what is trained.

        Of a contender that is not trained it holds the configuration that tells language model and limits.

        Args:
            contender: Whose.
            seed: Of the training; None for what is not trained.
            k: Where each number of items has a run.
            on: Whom adapters are for; all else has one run for all queries, that for ``test``.
        """
        name = "run" if k is None else f"run-k{k}"
        return self.cell(contender, seed) / (name if on == "test" else f"{name}-{on}")

    def trained(self, contender: Contender, seed: int | None, *, k: int | None = None, on: Measured = "test") -> Path:
        """Stands where training is finished, or where the descriptions of ``text-profile`` are written."""
        run = self.run(contender, seed, k=k, on=on)
        return run.with_name(f"{run.name}-trained.json")

    def report(self, contender: Contender, seed: int | None, *, name: Measured, k: int | None = None) -> Path:
        """Give the file of a report; ``k`` where items are retrieved."""
        return self.cell(contender, seed) / (f"{name}.json" if k is None else f"{name}-k{k}.json")


def _leave_out(_: DataError) -> None:
    """Say nothing: the check has."""
