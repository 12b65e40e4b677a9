"""A run's ``config.toml``: what is not in the run's folder is named by the way to it from there.

So a run that is moved together with its store and models finds them again, and is opened from any folder.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from personaplug.backbone.gguf import is_gguf
from personaplug.config import from_mapping, read_values, write_toml
from personaplug.models.catalog import CATALOG
from personaplug.store.address import Address, store_address

R = TypeVar("R")
_PARTS = ("backbone", "encoder")
_OURS = {"minilm", *CATALOG}
"""Models that personaplug knows by name, whatever folders there are."""


def way_to(path: Path | str, *, folder: Path) -> str:
    """Write the way to a path from a folder."""
    return os.path.relpath(path, folder)


def way_to_store(address: Address, *, folder: Path) -> str:
    """Write the way to a store from a folder; an address of Postgres stays, without a password."""
    return way_to(address, folder=folder) if isinstance(address, Path) else str(address)


def store_at_end_of(way: str, *, folder: Path) -> Address:
    """Follow a way to a store from a folder."""
    address = store_address(way)
    return at_end_of(way, folder=folder) if isinstance(address, Path) else address


def at_end_of(way: str, *, folder: Path) -> Path:
    """Follow a way from a folder."""
    return Path(os.path.normpath(folder / way))


def read_config(kind: type[R], path: Path) -> R:
    """Read a run's configuration; models in folders are named as seen from here.

    A name that is no way from the file is one on the hub, and stays. A way that leads to no folder is a folder as it
    was typed, where there is one; else it is written out, so that the error of loading says where it was sought.

    Args:
        kind: A dataclass with a ``backbone``, an ``encoder`` or both.
        path: The file.

    Raises:
        ConfigError: The file is missing, is not TOML, or does not fit ``kind``.
    """
    values = _as_today(read_values(path))
    return _renamed(from_mapping(kind, values, where=str(path)), lambda name: _found(name, folder=path.parent))


def write_config(run: object, path: Path) -> None:
    """Write a run's configuration; models that were named by a relative path are named as seen from the file."""
    write_toml(as_kept(run, path.parent), path)


def as_kept(run: R, folder: Path) -> R:
    """Name a run's models as its file in a folder does."""
    return _renamed(run, lambda name: _kept(name, folder=folder))


def is_same_model(one: str, other: str) -> bool:
    """Tell whether two names stand for one model; a folder or file has many."""
    return one == other or (_is_here(one) and _is_here(other) and Path(one).samefile(other))


BEFORE: dict[str, dict[str, object]] = {
    "embedder": {
        "place": "before",
        "made_of": "encoder",
        "with_mean": False,
        "gain": 0.0,
        "output_tokens": 5,
        "nobody": "trained",
        "first": "instruction",
    },
    "adapter": {"rank": 0, "reads": "all", "learns": "with"},
    "copying": {"order": 0},
    "training": {"without_history": 0.0, "cuts_queries": False},
}
"""What held in a plug's run of before there was a word for it, where it is not what holds by default today."""

_EVER = {"personas", "instructions", "instruction_form", "values", "query_encoder", "temperature", "use_recency"}
"""Of a persona every run has said all of this, whenever it was written; a person's own file says what differs."""


def _as_today(values: dict[str, Any]) -> dict[str, Any]:
    """Say what a plug's run of before does not."""
    sections = {name: values.get(name, {}) for name in BEFORE}
    if not all(isinstance(section, dict) for section in sections.values()) or not sections["embedder"].keys() >= _EVER:
        return values
    return values | {name: BEFORE[name] | section for name, section in sections.items()}


def _renamed(run: R, rename: Callable[[str], str]) -> R:
    parts: dict[str, Any] = {name: getattr(run, name) for name in _PARTS if hasattr(run, name)}
    new = {name: replace(part, model=rename(part.model)) for name, part in parts.items()}
    selection: Any = getattr(run, "selection", None)
    if selection is not None and selection.encoder:  # a reader of prompts beside the run's encoder
        new["selection"] = replace(selection, encoder=rename(selection.encoder))
    return replace(run, **new)  # type: ignore[type-var]  # every kind of run is a dataclass


def _kept(name: str, *, folder: Path) -> str:
    if name in _OURS or Path(name).is_absolute() or not _is_here(name):
        return name
    way = way_to(name, folder=folder)
    return way if _is_way(way) else os.path.join(os.curdir, way)  # noqa: PTH118 (a Path drops the dot)


def _found(name: str, *, folder: Path) -> str:
    place = at_end_of(name, folder=folder)
    if not _is_way(name) or (_is_here(name) and not place.exists()):
        return name
    return os.path.relpath(place) if place.exists() else str(place.absolute())


def _is_here(name: str) -> bool:
    """Tell a model's folder or GGUF file from a name on the hub; a file of another kind may be called like one."""
    return Path(name).is_dir() or is_gguf(Path(name))


def _is_way(name: str) -> bool:
    """Tell a way from a folder, which begins with a dot, from a name on the hub, which does not."""
    return name.partition("/")[0] in (os.curdir, os.pardir)
