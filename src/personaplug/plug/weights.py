"""The trained weights of a plug in its run folder: what stands beside the input, and beside the language model."""

from pathlib import Path

from personaplug.embedder.checkpoint import load_weights, save_weights
from personaplug.plug.prefix import Prefix
from personaplug.plug.run_folder import ADAPTER, WEIGHTS
from personaplug.plug.shared_adapter import SharedAdapter


def write_weights(prefix: Prefix, adapter: SharedAdapter | None, folder: Path) -> None:
    """Write them; the file that makes a run a finished one comes last."""
    if adapter:
        save_weights(adapter, folder / ADAPTER)
    save_weights(prefix, folder / WEIGHTS)


def take_weights(prefix: Prefix, adapter: SharedAdapter | None, folder: Path) -> None:
    """Read them into parts of the same configuration.

    Raises:
        ConfigError: A file is missing, broken, of another configuration, or holds what is no number.
    """
    load_weights(prefix, folder / WEIGHTS)
    if adapter:
        load_weights(adapter, folder / ADAPTER)
