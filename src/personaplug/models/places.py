"""Where a language model lies: in an installed package, else in the cache."""

from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Literal

from personaplug.cache import cache_folder, converted_folder
from personaplug.errors import ConfigError
from personaplug.models.catalog import CATALOG, DEFAULT, CatalogModel, model_of

State = Literal["installed", "cached", "missing"]
_GONE = "nano"
"""The language model that personaplug once came with; of this name, no folder is meant."""
_LAST_WITH_IT = "f18f425"
"""The last commit that has its weights."""


def installed_path(model: CatalogModel) -> Path | None:
    """Find the file in the model's package, which is not imported: its code wants what is not installed.

    A file of another size is of another version, or damaged: there is none then.
    """
    package, *rest = PurePosixPath(model.member).parts
    found = find_spec(package)
    folders = (found.submodule_search_locations if found else None) or []
    whole = (path for folder in folders if _has_size(path := Path(folder, *rest), model))
    return next(whole, None)


def cached_path(model: CatalogModel) -> Path:
    """Name the model's place in the cache, whether or not it is there."""
    return cache_folder() / "models" / PurePosixPath(model.member).name


def converted_copies(model: CatalogModel) -> list[Path]:
    """Find what the model's file was converted into, to load faster."""
    return sorted(converted_folder().glob(f"{model.sha256}-*"))


def find(model: CatalogModel) -> Path | None:
    """Find a model's file; None where it is neither installed nor in the cache, or not whole there."""
    cached = cached_path(model)
    return installed_path(model) or (cached if _has_size(cached, model) else None)


def state_of(model: CatalogModel) -> State:
    """Tell in which of its places a model is found."""
    if installed_path(model):
        return "installed"
    return "cached" if find(model) else "missing"


def path_of(name: str) -> Path:
    """Give the file of a model that is known by name.

    Raises:
        ConfigError: None has this name, or it is not on this machine; the hint is the command that fetches it.
    """
    path = find(model_of(name))
    if path is None:
        raise ConfigError(f"the language model {name} is not on this machine", hint=f"personaplug models add {name}")
    return path


def located(name: str) -> str:
    """Turn the name of a model of the catalog into its path; any other name, a folder's or the hub's, stays.

    Raises:
        ConfigError: The catalog's model is not on this machine, the name is of the model that personaplug once came
            with, or it is a path that leads nowhere.
    """
    if name == _GONE:
        raise ConfigError(
            f"the language model {_GONE} is no longer part of personaplug",
            hint=f"name another, such as --backbone {DEFAULT}, and train anew what was trained on {_GONE}; its weights "
            f"are in the repository up to commit {_LAST_WITH_IT}, in src/personaplug/{_GONE}",
        )
    if name in CATALOG:
        return str(path_of(name))
    check_is_there(name)
    return name


def check_is_there(name: str) -> None:
    """Refuse a path that leads nowhere, before it is taken for a name on the hub.

    Raises:
        ConfigError: It is one; names that are no paths pass.
    """
    path = Path(name)
    is_path = path.is_absolute() or name.partition("/")[0] in (".", "..")
    if is_path and not path.exists():
        kind = "file" if path.suffix == ".gguf" else "folder"
        raise ConfigError(
            f"no such file: the model's {kind} {str(path.absolute())!r} is not there",
            hint="copy the model there; or, where a run's config.toml names it, set its `model` to where the model is",
        )


def _has_size(path: Path, model: CatalogModel) -> bool:
    return path.is_file() and path.stat().st_size == model.bytes
