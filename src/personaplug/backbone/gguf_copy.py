"""What transformers makes of a GGUF file, and a converted copy of it in the cache, which loads many times faster.

Weights are unpacked into the float32 numbers that they stand for. Packed ones are not offered: for most architectures
transformers unpacks them whatever it is asked for, and for the rest it runs kernels that it fetches from the hub.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoTokenizer,
    GgufConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from personaplug.backbone.completeness import load_whole
from personaplug.backbone.gguf import read_head
from personaplug.cache import converted_folder
from personaplug.errors import ConfigError
from personaplug.files import dead_drafts, scratch_folder, sha256_of

log = logging.getLogger(__name__)

_FORMAT = 1
"""Of the copies: counted up with each change of what is in them, so that an older one is not taken for a new one."""

_SIZES, _NAME = "sizes.json", "model.gguf"
_FLOAT32 = 4


def copy_of(file: Path) -> Path | None:
    """Give the folder of a file's converted copy, made here where there is none; None where none can be kept.

    A copy is named by the file's SHA-256. It appears whole or not at all, and a damaged one is made anew.

    Raises:
        ConfigError: The file holds no model that can be read.
    """
    place = _place(file)
    if _is_whole(place):
        with suppress(OSError):  # of a copy that is another's, or on a disk that may only be read
            _open_up(place)
        return place
    needed = _FLOAT32 * read_head(file).weights
    try:
        _make_room(place.parent, needed)
        with scratch_folder(place) as scratch:
            _write(file, scratch / "copy")
            _take_place(scratch / "copy", place, aside=scratch / "broken")
    except (OSError, SafetensorError) as error:
        log.warning("no converted copy of %s is kept in %s: %s", file, place.parent, error)
        return None
    log.info("%s is kept converted in %s, %d MB", file, place, needed // 1_000_000)
    return place


def read_gguf(
    file: Path, *, dtype: torch.dtype, device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer from the file itself, the weights unpacked.

    Raises:
        ConfigError: The file holds no model that can be read, or lacks weights, or has them in another size.
    """
    settings, unpacked = _settings(file), GgufConfig(dequantize=True)
    with _alone(file) as source:
        how = source | {"dtype": dtype, "device_map": device, "quantization_config": unpacked}
        model = load_whole(str(file), settings, **how)
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(**source)
    return model, tokenizer


def read_gguf_settings(file: Path) -> PreTrainedConfig:
    """Read what a file's model says of itself, without its weights.

    Raises:
        ConfigError: The file holds no model that can be read.
    """
    place = _place(file)
    if _is_whole(place):
        settings: PreTrainedConfig = AutoConfig.from_pretrained(place, trust_remote_code=False)
        return settings
    return _settings(file)


def _settings(file: Path) -> PreTrainedConfig:
    head = read_head(file)
    try:
        with _alone(file) as source:
            settings: PreTrainedConfig = AutoConfig.from_pretrained(**source)
    except ValueError as error:
        raise ConfigError(
            f"{file}: transformers cannot read the architecture {head.architecture!r}: {str(error).splitlines()[0]}",
            hint="give the model's folder or name in Hugging Face's format instead",
        ) from error
    return settings


@contextmanager
def _alone(file: Path) -> Iterator[dict[str, Any]]:
    """Say to transformers where a file is; what lies beside it, such as another tokenizer, stays out of its sight."""
    with TemporaryDirectory() as folder:
        Path(folder, _NAME).symlink_to(file.resolve())
        yield {"pretrained_model_name_or_path": folder, "gguf_file": _NAME, "trust_remote_code": False}


def _place(file: Path) -> Path:
    return converted_folder() / f"{sha256_of(file)}-{_FORMAT}"


def _is_whole(folder: Path) -> bool:
    """Tell whether a copy is there that can be read, all its files as long as they were written."""
    try:
        sizes: dict[str, int] = json.loads((folder / _SIZES).read_text(encoding="utf-8"))
        return all(
            (folder / name).stat().st_size == size and os.access(folder / name, os.R_OK) for name, size in sizes.items()
        )
    except (OSError, ValueError):
        return False


def _make_room(folder: Path, needed: int) -> None:
    """Make the copies' folder, clear what killed processes left in it, and see whether a copy fits.

    Raises:
        OSError: The folder cannot be made, or the copy would take more than half of the disk's free space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for draft in dead_drafts(folder):
        shutil.rmtree(draft, ignore_errors=True)
    free = shutil.disk_usage(folder).free
    if needed > free // 2:
        raise OSError(f"it would take {needed / 1e9:.1f} GB of the {free / 1e9:.1f} GB that are free")


def _write(file: Path, folder: Path) -> None:
    model, tokenizer = read_gguf(file, dtype=torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    (folder / _SIZES).write_text(json.dumps(sizes), encoding="utf-8")
    _open_up(folder)


def _open_up(folder: Path) -> None:
    """Open weights as any new file is, which safetensors closes to all others: a container is another user."""
    for path in folder.iterdir():
        path.chmod((folder / _SIZES).stat().st_mode)


def _take_place(fresh: Path, place: Path, *, aside: Path) -> None:
    """Give a copy its name, unless another process was faster."""
    if _is_whole(place):
        return
    if place.exists():
        place.rename(aside)
    fresh.rename(place)
