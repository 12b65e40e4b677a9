"""Save and load trained weights, and nothing else, as safetensors."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from personaplug.errors import ConfigError
from personaplug.files import appearing


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's parameters and buffers, replacing the file in one step."""
    with appearing(path) as fresh:
        save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, fresh)


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
