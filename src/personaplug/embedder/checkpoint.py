"""Save and load trained weights, and nothing else, as safetensors."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from personaplug.errors import ConfigError
from personaplug.files import appearing


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's parameters and buffers, replacing the file in one step.

    Raises:
        ConfigError: One of them holds NaN or an infinite number; nothing is written.
    """
    state = module.state_dict()
    check_finite(state, where=path)
    with appearing(path) as fresh:
        write_tensors(state, fresh)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, *, metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors.

    Raises:
        OSError: The file cannot be written. The format's own writer raises an error of its own, as for a full disk.
    """
    path.write_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata=metadata))


def load_weights(module: nn.Module, path: Path) -> None:
    """Read what :func:`save_weights` wrote into a module of the same configuration.

    Raises:
        ConfigError: The file is missing, broken, of another configuration, or holds what is no number.
    """
    tensors = read_weights(path)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise ConfigError(f"{path} does not fit its configuration: {error}", hint="was config.toml edited?") from error


def read_weights(path: Path, *, hint: str = "train first: personaplug train --help") -> dict[str, Tensor]:
    """Read a file of weights.

    Args:
        path: The file.
        hint: What to do where there is none that can be read.

    Raises:
        ConfigError: The file is missing or broken, or holds NaN or an infinite number.
    """
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file", hint=hint) from None
    except SafetensorError as error:
        raise ConfigError(f"{path}: not a safetensors file: {error}", hint=hint) from error
    check_finite(tensors, where=path)
    return tensors


def check_finite(tensors: Mapping[str, Tensor], *, where: Path) -> None:
    """Refuse weights that are no numbers: whatever they answer would mean nothing.

    Raises:
        ConfigError: One holds NaN or an infinite number.
    """
    bad = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if bad is not None:
        raise ConfigError(
            f"{where}: the weights {bad!r} hold NaN or infinite numbers",
            hint="train anew with smaller learning rates, or with more exact numbers: --set backbone.dtype=float32",
        )
