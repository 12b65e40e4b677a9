"""A file of results: what was found, and by which command, when, and on which machine."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path

from personaplug.evaluation.machine import describe_machine, describe_software


def write(path: Path, found: Mapping[str, object]) -> None:
    """Write results as JSON; dataclasses become objects."""
    made = {
        "command": shlex.join(["python", "-m", _module(), *sys.argv[1:]]),
        "machine": describe_machine(),
        "software": describe_software(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"made": made, **found}, indent=1, default=_plain) + "\n", encoding="utf-8")


def _module() -> str:
    """Name what was run."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec else "benchmarks"


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"no JSON of {type(value).__name__}")
