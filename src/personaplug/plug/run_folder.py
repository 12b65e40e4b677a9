"""A run's folder, whichever kind of run it holds: what its files are called, and what is refused of it."""

from pathlib import Path

from personaplug.config import read_values, write_toml
from personaplug.errors import ConfigError
from personaplug.plug.run_file import store_at_end_of, write_config
from personaplug.store.address import Address
from personaplug.tasks.task import Task, load_task

CONFIG, TASK, WEIGHTS, CARD = "config.toml", "task.toml", "model.safetensors", "README.md"
ADAPTER = "shared_adapter.safetensors"
COPY_HEAD = "copy_head.safetensors"


def write_run(folder: Path, run: object, *, task: Task) -> None:
    """Write configuration and task; a run has a copy of its task, which stays as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(run, folder / CONFIG)
    write_toml(task, folder / TASK)


def task_of(folder: Path) -> Task:
    """Read a run's own copy of its task.

    Raises:
        ConfigError: It is missing, or does not fit.
    """
    return load_task(str(folder / TASK))


def holds_run(folder: Path) -> bool:
    """Tell whether a folder holds a run, finished or not."""
    return (folder / CONFIG).is_file()


def check_is_run(folder: Path) -> None:
    """Refuse a folder without a run.

    Raises:
        ConfigError: It has none.
    """
    if not holds_run(folder):
        raise ConfigError(f"{folder} is no run: it has no {CONFIG}", hint="train one: personaplug train --help")


def check_is_free(folder: Path, *, resuming: str) -> None:
    """Refuse a folder that already holds a run.

    Args:
        folder: Where a run is to be.
        resuming: What ``--resume`` would do.

    Raises:
        ConfigError: It does.
    """
    if holds_run(folder):
        raise ConfigError(f"{folder} already holds a run", hint=f"give another --out, or --resume to {resuming}")


def check_is_trained(folder: Path) -> None:
    """Refuse a run whose weights are not there yet.

    Raises:
        ConfigError: They are not.
    """
    if not (folder / WEIGHTS).is_file():
        raise ConfigError(f"the training of {folder} is not finished", hint="personaplug train ... --resume")


def check_is_unfinished(folder: Path, *, is_finished: bool) -> None:
    """Refuse to go on with a run that was trained to its end.

    Raises:
        ConfigError: It was.
    """
    if is_finished:
        raise ConfigError(f"the run in {folder} is finished", hint="evaluate it, or train anew with another --out")


def check_method(folder: Path, name: str) -> None:
    """Refuse a run of another method than the one that is wanted.

    Raises:
        ConfigError: It is another's, or the folder is no run.
    """
    if (held := method_of(folder)) != name:
        raise ConfigError(f"{folder} holds a {held}, not a {name}", hint=f"--method {held}, or another --run")


def check_task(folder: Path, held: str, *, wanted: str) -> None:
    """Refuse a run of another task, by the tasks' names.

    Raises:
        ConfigError: It is another's.
    """
    if held != wanted:
        raise ConfigError(f"{folder} was trained for the task {held!r}, not {wanted!r}")


def method_of(folder: Path) -> str:
    """Read what a run's folder holds, whichever configuration it is written in.

    Raises:
        ConfigError: The folder is no run.
    """
    return method_in(folder / CONFIG)


def method_in(file: Path) -> str:
    """Read which method a configuration is of; the plug, where it does not say.

    Raises:
        ConfigError: There is no such file, or it is not TOML.
    """
    return str(read_values(file).get("method", "plug"))


def store_of(folder: Path) -> Address | None:
    """Find the store that a run was trained with; None where there was none, or where the folder is no run."""
    name = read_values(folder / CONFIG).get("store") if holds_run(folder) else None
    return store_at_end_of(str(name), folder=folder) if name else None
