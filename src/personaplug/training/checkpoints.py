"""Where training begins: at the start, or where an interrupted run left off."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from safetensors import SafetensorError, safe_open
from transformers.trainer import TRAINER_STATE_NAME

from personaplug.errors import ConfigError
from personaplug.files import discard_drafts, write_text
from personaplug.plug.run_folder import check_is_free, check_is_unfinished

log = logging.getLogger(__name__)

CHECKPOINTS, METRICS = "checkpoints", "metrics.jsonl"
_DISCARDED = f".{CHECKPOINTS}"

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
    if is_finished(folder):
        discard_leftovers(folder)
    if not resume:
        check_is_free(folder, resuming="go on from its last checkpoint")
        return None
    check_is_unfinished(folder, is_finished=is_finished(folder))
    found = sorted((folder / CHECKPOINTS).glob("checkpoint-*"), key=_step, reverse=True)
    return next((path for path in found if _is_usable(path)), None)


def is_finished(folder: Path) -> bool:
    """Tell whether the run in a folder was trained to its end."""
    return not (folder / CHECKPOINTS).exists() and any(_LAST_LINE in line for line in read_metrics(folder / METRICS))


def rewind_metrics(folder: Path, *, to: Path | None) -> None:
    """Drop what was logged after a checkpoint, or all where there is none: it will be logged again."""
    metrics, last_step = folder / METRICS, _step(to) if to else 0
    kept = [line for line in read_metrics(metrics) if line["step"] <= last_step and _LAST_LINE not in line]
    if kept:
        write_text(metrics, "".join(json.dumps(line) + "\n" for line in kept))
    else:
        metrics.unlink(missing_ok=True)


def discard_checkpoints(folder: Path) -> None:
    """Delete a finished run's checkpoints, by way of a name under which a resumed run does not look for them."""
    discard_leftovers(folder)
    (folder / CHECKPOINTS).rename(folder / _DISCARDED)
    discard_leftovers(folder)


def discard_leftovers(folder: Path) -> None:
    """Delete what a process that was killed at the very end of a training has left in the run's folder."""
    shutil.rmtree(folder / _DISCARDED, ignore_errors=True)
    discard_drafts(folder)


def read_metrics(metrics: Path) -> list[dict[str, Any]]:
    """Read the lines of a run's log; one that a killed process did not end is left out.

    Raises:
        ConfigError: A line is none of the trainer's.
    """
    if not metrics.exists():
        return []
    lines = metrics.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return [_line(line, where=f"{metrics}:{at}") for at, line in enumerate(lines, 1) if line.endswith("\n")]


def _is_usable(checkpoint: Path) -> bool:
    """Tell whether training can go on from a checkpoint, and end with the best weights that it knows of."""
    state = _state(checkpoint)
    best = state.get("best_global_step") if state else None
    usable = state is not None and (best is None or _state(checkpoint.with_name(f"checkpoint-{best}")) is not None)
    if not usable:
        log.warning("%s is broken: training goes on from one before it", checkpoint)
    return usable


def _state(checkpoint: Path) -> dict[str, Any] | None:
    """Read the trainer's state, which is written last, in a checkpoint; None where a file of it is cut or broken."""
    try:
        state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
        for path in checkpoint.glob("*.safetensors"):
            with safe_open(path, "pt"):  # its header says how long it is
                pass
        for path in (*checkpoint.glob("*.pt"), *checkpoint.glob("*.pth")):
            with ZipFile(path) as packed:
                if packed.testzip() is not None:
                    return None
    except (OSError, ValueError, SafetensorError, BadZipFile):
        return None
    return state if isinstance(state, dict) else None


def _line(line: str, *, where: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    if not isinstance(values, dict) or not isinstance(values.get("step"), int):
        raise ConfigError(f"{where}: not a line that a training has logged", hint="delete this line")
    return values


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
