"""Adapters of all users in a vLLM server: found there, or put there while it runs."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from personaplug.errors import ConfigError
from personaplug.plug.adapter_export import RunLora, holds_lora
from personaplug.serving.engine.vllm_client import Upstream
from personaplug.serving.engine.vllm_command import vllm_command


def with_loras(upstream: Upstream, loras: Mapping[str, RunLora], *, folder: Path | None = None) -> Upstream:
    """See to it that a server knows the adapters of runs, each by the name of its very weights.

    Args:
        upstream: The server.
        loras: By the runs' names.
        folder: Where adapters that it does not know are put for it to load; it sees the folder by the same path.

    Raises:
        ConfigError: It lacks one, and none is to be put there; or it takes none.
        OSError: The folder cannot be written.
    """
    named = {run: lora.name for run, lora in loras.items()}
    known = upstream.names() if loras else set()
    missing = {lora.name: lora for lora in loras.values() if lora.name not in known}
    if missing and folder is None:
        raise _unknown(upstream, missing, list(loras.values()))
    folders = {lora.name: _put(lora, folder / lora.name) for lora in loras.values()} if folder else {}
    for lora in missing.values():
        _load(upstream, lora, folder=folders[lora.name], count=len(set(named.values())))
    return replace(upstream, loras=named, folders=folders)


def _put(lora: RunLora, folder: Path) -> str:
    """Write an adapter into a folder, and name that; another server like this may do so at the same time."""
    try:
        if not holds_lora(folder):
            lora.export(folder)
    except (ConfigError, OSError):
        if not holds_lora(folder):
            raise
    return str(folder.resolve())


def _load(upstream: Upstream, lora: RunLora, *, folder: str, count: int) -> None:
    """Have a server load an adapter, of so many."""
    refusal = upstream.load(lora.name, folder)
    if refusal and lora.name not in upstream.names():
        command = vllm_command(lora.model, loras={}, rank=lora.config.rank, maps=lora.maps, count=count)
        raise ConfigError(
            f"vLLM at {upstream.url} does not load {lora.name}: {refusal}",
            hint=f"start it so that it loads adapters: VLLM_ALLOW_RUNTIME_LORA_UPDATING=True {command}",
        )


def _unknown(upstream: Upstream, missing: Mapping[str, RunLora], loras: list[RunLora]) -> ConfigError:
    """Say what is missing, and the commands that make it and start vLLM with it."""
    folders = {lora.name: Path("adapters") / lora.name for lora in loras}
    exports = [
        shlex.join(["personaplug", "export", "--run", str(lora.folder), "--out", str(folders[name])])
        for name, lora in missing.items()
    ]
    maps = sorted({name for lora in loras for name in lora.maps})
    rank = max(lora.config.rank for lora in loras)
    start = vllm_command(loras[0].model, loras=folders, rank=rank, maps=maps, count=len(folders))
    runs = ", ".join(str(lora.folder) for lora in missing.values())
    return ConfigError(
        f"vLLM at {upstream.url} does not know {', '.join(missing)}, the adapter of {runs}",
        hint="\n".join(["let it load adapters from a folder (--adapters), or start it with them:", *exports, start]),
    )
