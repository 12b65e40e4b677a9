"""Where training begins: at the start, or where an interrupted run left off."""

import json
import shutil
from pathlib import Path
from typing import Any

from transformers.trainer import TRAINER_STATE_NAME

from personaplug.errors import ConfigError
from personaplug.files import write_text

CHECKPOINTS, METRICS = "checkpoints", "metrics.jsonl"

_LAST_LINE = "train_runtime"
"""Stands in the line that the trainer logs when it is done, and in no other."""


def starting_point(folder: Path, *, resume: bool) -> Path | None:
    """Find the checkpoint to go on from; None for the start.

    Args:
        folder: The run folder.
        resume: Whether the folder may hold an interrupted run.

    Raises:
        ConfigError: The folder holds a run and ``resume`` is False, or that run is finished.
    """
    if not resume:
        _check_new(folder)
        return None
    if is_finished(folder):
        raise ConfigError(f"the run in {folder} is finished", hint="evaluate it, or train anew with another --out")
    whole = [path for path in (folder / CHECKPOINTS).glob("checkpoint-*") if _is_whole(path)]
    return max(whole, key=_step, default=None)


def is_finished(folder: Path) -> bool:
    """Tell whether the run in a folder was trained to its end."""
    return not (folder / CHECKPOINTS).exists() and any(_LAST_LINE in line for line in _read(folder / METRICS))


def rewind_metrics(folder: Path, *, to: Path | None) -> None:
    """Drop what was logged after a checkpoint, or all where there is none: it will be logged again."""
    metrics, last_step = folder / METRICS, _step(to) if to else 0
    kept = [line for line in _read(metrics) if line["step"] <= last_step and _LAST_LINE not in line]
    if kept:
        write_text(metrics, "".join(json.dumps(line) + "\n" for line in kept))
    else:
        metrics.unlink(missing_ok=True)


def discard_checkpoints(folder: Path) -> None:
    """Delete a finished run's checkpoints, by way of a name under which a resumed run does not look for them."""
    discarded = (folder / CHECKPOINTS).rename(folder / f".{CHECKPOINTS}")
    shutil.rmtree(discarded)


def _check_new(folder: Path) -> None:
    if (folder / "config.toml").exists():
        raise ConfigError(
            f"{folder} already holds a run", hint="give another --out, or --resume to go on from its last checkpoint"
        )


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))  # written last
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return True


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _read(metrics: Path) -> list[dict[str, Any]]:
    if not metrics.exists():
        return []
    lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True)
    # A line without its end was being written when the run was killed.
    return [json.loads(line) for line in lines if line.endswith("\n")]
