"""Small frozen dataclasses in and out of TOML, strictly.

An unknown key, a missing key or a value of the wrong type is an error that names the key, what stands there and what
may stand there. Help texts live in the field's metadata (see :func:`option`) and are written as comments.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import Field, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomlkit
from tomlkit.items import Table

from personaplug.errors import ConfigError
from personaplug.files import write_text

T = TypeVar("T")
Document = tomlkit.TOMLDocument | Table


def option(default: Any, help_text: str) -> Any:  # noqa: ANN401 (like dataclasses.field)
    """Declare a config field with its default and the line of help written beside it."""
    return field(default=default, metadata={"help": help_text})


def read_toml(kind: type[T], path: Path) -> T:
    """Read a dataclass from a TOML file.

    Raises:
        ConfigError: The file is missing, is not TOML, or does not fit ``kind``.
    """
    return from_mapping(kind, read_values(path), where=str(path))


def read_values(path: Path) -> dict[str, Any]:
    """Read a TOML file as it stands.

    Raises:
        ConfigError: The file is missing, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    except RecursionError:
        raise ConfigError(f"{path}: its values are nested too deep") from None


def write_toml(value: object, path: Path) -> None:
    """Write a dataclass as TOML, each field's help as a comment above it."""
    document = tomlkit.document()
    _fill(document, value)
    write_text(path, tomlkit.dumps(document))


def from_mapping(kind: type[T], values: Mapping[str, object], *, where: str) -> T:
    """Build a dataclass from nested mappings; a section says what differs from the default of its field.

    Args:
        kind: The dataclass.
        values: As parsed from TOML or JSON.
        where: The file and section to name in errors.

    Raises:
        ConfigError: A key is unknown or missing, or a value has the wrong type.
    """
    known = {f.name: f for f in _fields(kind)}
    if unknown := sorted(set(values) - set(known)):
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}", hint=f"known keys: {', '.join(known)}")
    hints = get_type_hints(kind)
    whole = {name: _over(known[name].default, value) for name, value in values.items()}
    parsed = {name: _parse(hints[name], value, where=f"{where}: {name}") for name, value in whole.items()}
    try:
        return kind(**parsed)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _over(default: object, value: object) -> object:
    if not isinstance(value, Mapping) or not is_dataclass(default):
        return value
    return {each.name: getattr(default, each.name) for each in _fields(type(default))} | dict(value)


def override(value: T, settings: Sequence[str]) -> T:
    """Change fields of a dataclass by settings such as ``training.epochs=3``.

    Args:
        value: The dataclass, of dataclasses.
        settings: Each a path of field names, ``=`` and a TOML value; text needs no quotes.

    Raises:
        ConfigError: A setting has no ``=``, or does not fit.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting!r} is no setting", hint="as in training.learning_rate=3e-3")
        value = _with(value, path.strip().split("."), new=_toml_value(text.strip()), where=setting)
    return value


def _with(value: Any, path: Sequence[str], *, new: object, where: str) -> Any:  # noqa: ANN401 (a dataclass)
    name, *rest = path
    if rest and is_dataclass(getattr(value, name, None)):
        new = _with(getattr(value, name), rest, new=new, where=where)
    elif rest:
        raise ConfigError(f"{where}: there is no section {name!r}")
    values = {each.name: getattr(value, each.name) for each in _fields(type(value))}
    return from_mapping(type(value), values | {name: _over(values.get(name), new)}, where=where)


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    except RecursionError:
        raise ConfigError(f"{text[:40]}...: nested too deep") from None


def _parse(kind: Any, value: object, *, where: str) -> object:  # noqa: ANN401 (a type form)
    if isinstance(value, Mapping):
        for member in get_args(kind) or (kind,):  # the members of a union such as `Part | None`, or the kind itself
            if isinstance(member, type) and is_dataclass(member):
                return from_mapping(member, value, where=where)
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        return tuple(_parse(get_args(kind)[0], item, where=where) for item in value)
    if kind is float and type(value) is int:
        return float(value)
    if not _fits(kind, value):
        raise ConfigError(f"{where} is {value!r}, not {_describe(kind)}")
    return value


def _fits(kind: Any, value: object) -> bool:  # noqa: ANN401 (a type form)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(member, value) for member in get_args(kind))
    return isinstance(kind, type) and type(value) is kind


def _describe(kind: Any) -> str:  # noqa: ANN401 (a type form)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_describe(member) for member in get_args(kind))
    return str(getattr(kind, "__name__", kind))


def _fill(table: Document, value: object) -> None:
    for each in _fields(type(value)):
        content = getattr(value, each.name)
        if content is None:
            continue
        if is_dataclass(content):
            child = tomlkit.table()
            _fill(child, content)
            table.add(each.name, child)
            continue
        if "help" in each.metadata:
            table.add(tomlkit.comment(each.metadata["help"]))
        table.add(each.name, tomlkit.item(list(content) if isinstance(content, tuple) else content))


def _fields(kind: type) -> tuple[Field[Any], ...]:
    return tuple(f for f in fields(kind) if f.init)
