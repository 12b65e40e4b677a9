"""The three kinds of a run's configuration: of plug or tuned prompt, of learned retrieval, of one adapter a user.

All three say task, method, store or users, language model, and how they were made; each is one ``config.toml`` in the
run's folder, and has the presets ``default`` and ``paper``.
"""

from collections.abc import Mapping
from pathlib import Path

from personaplug.method_kinds import MethodKind
from personaplug.plug import run
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import read_config
from personaplug.rivals.learned_retrieval import run as retrieval_run
from personaplug.rivals.learned_retrieval.run import RetrievalConfig
from personaplug.rivals.user_lora import run as user_lora
from personaplug.rivals.user_lora.run import UserLoraConfig

AnyRun = RunConfig | RetrievalConfig | UserLoraConfig


def presets_of(kind: MethodKind) -> Mapping[str, AnyRun]:
    """Give the presets of a method that learns."""
    if kind.learns == "adapters":
        return user_lora.PRESETS
    return retrieval_run.PRESETS if kind.is_learned_retrieval else run.PRESETS


def read_or_preset(kind: MethodKind, file: Path | None, *, preset: str) -> AnyRun:
    """Read a method's configuration from a file, or take a preset.

    Raises:
        ConfigError: The file does not fit.
    """
    taken = presets_of(kind)[preset]
    return read_config(type(taken), file) if file else taken
