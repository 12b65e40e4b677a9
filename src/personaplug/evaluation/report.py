"""What one method scored on one task, with every answer, as a JSON file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from personaplug.config import from_mapping
from personaplug.errors import ConfigError, DataError
from personaplug.evaluation.answers import Answer
from personaplug.evaluation.attention import AttentionSummary
from personaplug.evaluation.cost import Cost
from personaplug.evaluation.machine import describe_machine
from personaplug.evaluation.metrics import MetricName
from personaplug.evaluation.scores import Bucket, Score
from personaplug.files import write_text
from personaplug.method_kinds import METHOD_KINDS, kind_in_label

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Setting:
    """How a measurement was made, beside task and method.

    Attributes:
        split: Of which split the queries are.
        seed: Of the intervals, and of the draw of queries where there was one.
        history: Whose history the method was given: the user's own, or a stranger's, as a control.
        command: What was typed.
        machine: What it ran on.
        software: Versions and commit that it ran with; empty in older reports, as is ``time``.
        time: When it began, in ISO 8601 with a zone.
    """

    split: str = "test"
    seed: int = 0
    history: Literal["own", "stranger"] = "own"
    command: str = ""
    machine: str = field(default_factory=describe_machine)
    software: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One measurement.

    Attributes:
        task: Its name.
        method: Its name in tables.
        kind: Which of our methods it is, whatever it is called in tables; empty for a stranger to us.
        labels: The task's, in order; empty for generation.
        setting: See :class:`Setting`.
        seconds: Wall time of all answers, likelihoods, attention and counts together.
        peak_memory_mb: The most memory that the process held, in MB; a GPU's is not in it.
        scores: The task's metrics, the main one first, then likelihood where the method offers it.
        buckets: The same by length of history.
        answers: Every answer, in the order of the queries.
        attention: Where the attention went; None for a method without.
        cost: Of the answers; None in files of before costs were measured.
        schema: Of the file.
    """

    task: str
    method: str
    labels: tuple[str, ...]
    setting: Setting
    seconds: float
    peak_memory_mb: float
    scores: tuple[Score, ...]
    buckets: tuple[Bucket, ...]
    answers: tuple[Answer, ...]
    attention: AttentionSummary | None = None
    cost: Cost | None = None
    schema: int = SCHEMA
    kind: str = ""

    @property
    def label(self) -> str:
        """The method as a table names it."""
        return self.method if self.setting.history == "own" else f"{self.method}, stranger's history"

    @property
    def has_persona(self) -> bool:
        """Whether what stands beside the input is made of a history."""
        return self.kind in METHOD_KINDS and METHOD_KINDS[self.kind].has_persona

    @property
    def users(self) -> int:
        """The number of users who asked."""
        return len({answer.user_id for answer in self.answers})

    def score(self, metric: MetricName) -> Score | None:
        """Find the score of a metric; None where it was not measured."""
        return next((score for score in self.scores if score.metric == metric), None)

    def write(self, path: Path) -> None:
        """Write the report as JSON: the file appears whole or not at all."""
        text = json.dumps(asdict(self), ensure_ascii=False, allow_nan=False, indent=1)
        write_text(path, text)  # Half of a surrogate pair becomes \ud800, which is JSON's own way to write it.

    @classmethod
    def read(cls, path: Path) -> "Report":
        """Read a report.

        Raises:
            DataError: There is no such file, or it is no report, or one of another version.
        """
        values = _read_object(path)
        if values.get("schema") != SCHEMA:
            raise DataError(
                f"not a report of version {SCHEMA}: its schema is {values.get('schema')!r}",
                path=path,
                hint="make it with this version's `personaplug evaluate`",
            )
        kind = kind_in_label(str(values.get("method")))  # of a file of before reports said it
        try:
            return from_mapping(cls, {"kind": kind, **values}, where="the report")
        except ConfigError as error:
            raise DataError(str(error), path=path, hint="make it anew with `personaplug evaluate`") from error


def _read_object(path: Path) -> dict[str, object]:
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError("there is no such report", path=path, hint="make it with `personaplug evaluate`") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"not JSON: {error}", path=path, hint="give reports of `personaplug evaluate`") from error
    if not isinstance(values, dict):
        raise DataError("not a report", path=path, hint="give reports of `personaplug evaluate`")
    return values
