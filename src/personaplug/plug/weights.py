"""The trained weights of a plug in its run folder: what stands beside the input, and beside the language model."""

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from personaplug.embedder.checkpoint import load_weights, save_weights
from personaplug.plug.run_folder import ADAPTER, COPY_HEAD, WEIGHTS

if TYPE_CHECKING:
    from personaplug.plug.model import PersonaPlug


def write_weights(plug: "PersonaPlug", folder: Path) -> None:
    """Write them; the file that makes a run a finished one comes last."""
    for module, name in reversed(_files(plug)):
        save_weights(module, folder / name)


def take_weights(plug: "PersonaPlug", folder: Path) -> None:
    """Read them into a plug of the same configuration.

    Raises:
        ConfigError: A file is missing, broken, of another configuration, or holds what is no number.
    """
    for module, name in _files(plug):
        load_weights(module, folder / name)


def _files(plug: "PersonaPlug") -> list[tuple[nn.Module, str]]:
    parts = [(plug.prefix, WEIGHTS), (plug.adapter, ADAPTER), (plug.copy_head, COPY_HEAD)]
    return [(module, name) for module, name in parts if module is not None]
