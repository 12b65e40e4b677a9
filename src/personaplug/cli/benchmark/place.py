"""Where a bench keeps what it makes."""

from dataclasses import dataclass
from pathlib import Path

from personaplug.cli.benchmark.recipe import Contender, Source, slug
from personaplug.tasks.task import Task


@dataclass(frozen=True, slots=True)
class TaskPlace:
    """The folder of one task.

    Attributes:
        source: As the recipe has it.
        task: The task.
        task_file: What names the task to other commands.
        given: The log, or the folder of LaMP's files, that the recipe names; the log to be made for a sample.
        folder: Of all that is made.
    """

    source: Source
    task: Task
    task_file: str
    given: Path
    folder: Path

    @property
    def log(self) -> Path:
        """The log that is read: the recipe's own, or the one made here."""
        return self.given if self.source.log else self.folder / "log.jsonl"

    @property
    def store(self) -> Path:
        """The index of the log."""
        return self.folder / "store.db"

    @property
    def indexed(self) -> Path:
        """Stands where the index is finished."""
        return self.folder / "indexed.json"

    def of(self, contender: Contender) -> Path:
        """Give the folder of a contender."""
        return self.folder / slug(contender.name)

    def cell(self, contender: Contender, seed: int | None) -> Path:
        """Give the folder of a contender with a seed; None for one that is not trained."""
        return self.of(contender) / ("once" if seed is None else f"seed-{seed}")

    def run(self, contender: Contender, seed: int | None, *, k: int | None = None) -> Path:
        """Give the folder of what is trained; ``k`` where each number of items has a run.

        Of a contender that is not trained it holds the configuration that tells language model and limits.
        """
        return self.cell(contender, seed) / ("run" if k is None else f"run-k{k}")

    def trained(self, contender: Contender, seed: int, *, k: int | None = None) -> Path:
        """Stands where training is finished."""
        run = self.run(contender, seed, k=k)
        return run.with_name(f"{run.name}-trained.json")

    def report(self, contender: Contender, seed: int | None, name: str, *, k: int | None = None) -> Path:
        """Give the place of a report: ``dev``, ``test`` or ``stranger``; ``k`` where items are retrieved."""
        return self.cell(contender, seed) / (f"{name}.json" if k is None else f"{name}-k{k}.json")
