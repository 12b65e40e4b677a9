"""Scores that others have published, to stand beside measured ones: one TOML file a source."""

from dataclasses import dataclass
from pathlib import Path

from personaplug.config import read_toml
from personaplug.evaluation.metrics import MetricName


@dataclass(frozen=True, slots=True)
class PublishedScores:
    """One line of a published table.

    Attributes:
        task: As personaplug names it.
        metric: What was measured.
        dev: One score a method on the dev split.
        test: The same on the test split.
    """

    task: str
    metric: MetricName
    dev: tuple[float, ...]
    test: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """A published table.

    Attributes:
        source: Where it stands, and what it was measured with.
        methods: The columns, as published.
        like: The method of personaplug that each of them is; empty where there is none.
        scores: The lines.
    """

    source: str
    methods: tuple[str, ...]
    like: tuple[str, ...]
    scores: tuple[PublishedScores, ...]

    def __post_init__(self) -> None:
        columns = len(self.methods)
        if len(self.like) != columns:
            raise ValueError(f"{columns} methods and {len(self.like)} in like: each needs one, empty for none")
        for line in self.scores:
            if {len(line.dev), len(line.test)} != {columns}:
                raise ValueError(f"{line.task}, {line.metric}: there must be {columns} scores for dev and for test")


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """One published score.

    Attributes:
        method: As published.
        like: As personaplug names it.
        metric: What was measured.
        value: The score.
    """

    method: str
    like: str
    metric: MetricName
    value: float


def read_published(path: Path) -> Published:
    """Read a table.

    Raises:
        ConfigError: There is none, or it does not fit.
    """
    return read_toml(Published, path)


def published_scores(table: Published, task: str, *, split: str) -> tuple[PublishedScore, ...]:
    """Pick the scores of a task and split; none for train."""
    return tuple(
        PublishedScore(method, like, line.metric, value)
        for line in table.scores
        if line.task == task and split in ("dev", "test")
        for method, like, value in zip(table.methods, table.like, getattr(line, split), strict=True)
    )
