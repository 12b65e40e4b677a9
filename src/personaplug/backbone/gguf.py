"""A GGUF file: a language model in one file, as llama.cpp, Ollama and LM Studio keep it, its weights mostly packed.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personaplug.errors import ConfigError

if TYPE_CHECKING:
    from gguf import GGUFReader

_MAGIC = b"GGUF"
_SUFFIX = ".gguf"
_BROKEN = (ValueError, IndexError, KeyError, ArithmeticError)
"""What the package ``gguf`` raises for a file that ends too early or holds nonsense."""


@dataclass(frozen=True, slots=True)
class GgufHead:
    """What a file says of itself.

    Attributes:
        architecture: llama.cpp's name of the kind of model, such as ``llama`` or ``qwen3``.
        weights: Number of weights.
    """

    architecture: str
    weights: int


def find_gguf(name: str) -> Path | None:
    """Find the file that a model's name stands for: a file, or a folder with one such file that is not Hugging Face's.

    A file counts by its ending or by its first bytes: Ollama names its files by hashes. None for any other name.

    Raises:
        ConfigError: The name ends in ``.gguf`` and there is no such file, or the folder holds several.
    """
    path = Path(name)
    if path.is_dir():
        return None if _is_hugging_faces(path) else _only_one(path)
    if is_gguf(path):
        return path
    if _has_suffix(path):
        raise ConfigError(f"{name}: there is no such file", hint="give the path of a .gguf file that is there")
    return None


def is_gguf(path: Path) -> bool:
    """Tell whether a path is that of a GGUF file, by its name or its first bytes."""
    try:
        return path.is_file() and (_has_suffix(path) or _begins_well(path))
    except PermissionError:  # it is nothing that could be loaded
        return False


def read_head(path: Path) -> GgufHead:
    """Read a file's description, and make sure that all its tensors are there and make a model that writes.

    Raises:
        ConfigError: It is no GGUF file, is cut short or damaged, is one part of several, or reads text alone.
    """
    if not _begins_well(path):
        raise ConfigError(f"{path} is no GGUF file: it does not begin with the letters GGUF", hint=_ANOTHER)
    reader = _opened(path)
    field = reader.get_field("general.architecture")
    architecture = str(field.contents()) if field else ""
    _check_is_one(reader, path)
    if "bert" in architecture or architecture == "t5encoder":
        raise ConfigError(f"{path} holds an encoder ({architecture}): it reads text and writes none", hint=_ANOTHER)
    return GgufHead(architecture, sum(prod(int(size) for size in tensor.shape) for tensor in reader.tensors))


_ANOTHER = "give the .gguf file of a model that answers, such as SmolLM2, Llama, Qwen or Gemma"


def _is_hugging_faces(folder: Path) -> bool:
    """Tell whether a folder holds weights of Hugging Face's kinds; some have a ``config.json`` beside a GGUF file."""
    weights = (folder.glob(pattern) for pattern in ("*.safetensors", "pytorch_model*.bin"))
    return (folder / "config.json").exists() and any(True for each in weights for _ in each)


def _only_one(folder: Path) -> Path | None:
    found = sorted(path for path in folder.iterdir() if _has_suffix(path) and path.is_file())
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ConfigError(f"{folder} holds {len(found)} GGUF files: {names}", hint=f"name one: {found[0]}")
    return found[0] if found else None


def _has_suffix(path: Path) -> bool:
    return path.suffix.lower() == _SUFFIX


def _begins_well(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _opened(path: Path) -> "GGUFReader":
    from gguf import GGUFReader  # a quarter of a second, which nobody waits for who needs none

    try:
        with np.errstate(over="raise"):  # sizes that are none
            return GGUFReader(path)
    except _BROKEN as error:
        raise ConfigError(
            f"{path} is cut short or damaged: {path.stat().st_size:,} bytes do not hold what its head promises",
            hint="download it again, and compare its size or SHA-256 with the publisher's",
        ) from error


def _check_is_one(reader: "GGUFReader", path: Path) -> None:
    """Refuse a part of a model that was split into several files."""
    field = reader.get_field("split.count")
    if field and int(field.contents()) > 1:
        raise ConfigError(
            f"{path} is one of {int(field.contents())} parts of a model",
            hint="join them first: llama-gguf-split --merge FIRST-PART.gguf WHOLE.gguf",
        )
