"""Save and load trained weights, and nothing else, as safetensors."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from personaplug.errors import ConfigError
from personaplug.files import appearing


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's parameters and buffers, replacing the file in one step."""
    with appearing(path) as fresh:
        write_tensors(module.state_dict(), fresh)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, *, metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors.

    Raises:
        OSError: The file cannot be written. The format's own writer raises an error of its own, as for a full disk.
    """
    path.write_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata=metadata))


def load_weights(module: nn.Module, path: Path) -> None:
    """Read what :func:`save_weights` wrote into a module of the same configuration.

    Raises:
        ConfigError: The file is missing, broken, or of another configuration.
    """
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file", hint="train first: personaplug train --help") from None
    except SafetensorError as error:
        raise ConfigError(f"{path}: not a safetensors file: {error}") from error
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise ConfigError(f"{path} does not fit its configuration: {error}", hint="was config.toml edited?") from error
