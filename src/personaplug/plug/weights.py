"""The trained weights of a plug in its run folder: what stands beside the input, and beside the language model."""

from pathlib import Path

from torch import nn

from personaplug.embedder.checkpoint import load_weights, save_weights
from personaplug.embedder.copy_head import CopyHead
from personaplug.plug.prefix import Prefix
from personaplug.plug.run_folder import ADAPTER, COPY_HEAD, WEIGHTS
from personaplug.plug.shared_adapter import SharedAdapter

Parts = tuple[Prefix, SharedAdapter | None, CopyHead | None]


def write_weights(parts: Parts, folder: Path) -> None:
    """Write them; the file that makes a run a finished one comes last."""
    for module, name in reversed(_files(parts)):
        save_weights(module, folder / name)


def take_weights(parts: Parts, folder: Path) -> None:
    """Read them into parts of the same configuration.

    Raises:
        ConfigError: A file is missing, broken, of another configuration, or holds what is no number.
    """
    for module, name in _files(parts):
        load_weights(module, folder / name)


def _files(parts: Parts) -> list[tuple[nn.Module, str]]:
    named = zip(parts, (WEIGHTS, ADAPTER, COPY_HEAD), strict=True)
    return [(module, name) for module, name in named if module is not None]
