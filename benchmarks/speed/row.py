"""One line of the table: what was measured on what, what came out, what it had to reach, and how it was made."""

import json
import operator
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from personaplug.evaluation.machine import commit, describe_machine, processor

RESULTS = Path(__file__).parent.parent / "results" / "speed"
"""A file a processor: figures of two do not stand in one table."""

Made = Mapping[str, str | int | float | bool]

_HOLDS = {"at least": operator.ge, "at most": operator.le}


@dataclass(frozen=True, slots=True)
class Target:
    """A bound."""

    bound: Literal["at least", "at most"]
    value: float

    def holds(self, value: float) -> bool:
        """Tell whether a value keeps to the bound."""
        return bool(_HOLDS[self.bound](value, self.value))


@dataclass(frozen=True, slots=True)
class Row:
    """A measured figure.

    Attributes:
        name: Unique in the table.
        measured_on: Sizes and data.
        value: The figure.
        unit: ``x`` for a ratio.
        target: What it should reach; None where nothing is promised.
        details: Whatever else was measured, by name and unit.
    """

    name: str
    measured_on: str
    value: float
    unit: str
    target: Target | None = None
    details: dict[str, float] = field(default_factory=dict)

    @property
    def in_words(self) -> str:
        """Write the row as a line."""
        goal = "" if self.target is None else f" ({self.target.bound} {self.target.value:.3g}: {self._verdict})"
        return f"{self.name}: {self.value:.3g} {self.unit}{goal}, on {self.measured_on}"

    @property
    def _verdict(self) -> str:
        return "reached" if self.target and self.target.holds(self.value) else "missed"


def results_here() -> Path:
    """Name the file of this machine's processor."""
    return RESULTS / f"{re.sub(r'[^a-z0-9]+', '-', processor().lower()).strip('-')}.json"


def write_rows(rows: Iterable[Row], path: Path, *, made: Made) -> None:
    """Put rows into a file of results; others that stand there stay, each with the way it was made."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = known | {row.name: {**asdict(row), "made": made} for row in rows}
    path.write_text(json.dumps(fresh, indent=1) + "\n", encoding="utf-8")


def how_made(*, threads: int, is_quick: bool) -> Made:
    """Say where, when, from which commit and by which command something is about to be measured."""
    return {
        "machine": describe_machine(),
        "threads": threads,
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", ""),
        "commit": commit(),
        "command": shlex.join(["python", "-m", "benchmarks.speed", *sys.argv[1:]]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "is_quick": is_quick,
    }
