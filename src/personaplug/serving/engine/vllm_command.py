"""The command that starts a vLLM server with what a run needs of it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Of which vLLM's ``--max-lora-rank`` is one: ``vllm/config/lora.py``."""


def vllm_command(model: str, *, loras: Mapping[str, Path], rank: int, maps: Sequence[str], count: int) -> str:
    """Write it as it is typed.

    Two of its options are for the sake of vLLM 0.32:

    - Without the names of the maps, its embedding table makes room for an adapter as well. Then it ends where a batch
      holds prompt embeddings and tokens: https://github.com/vllm-project/vllm/issues/51122
    - On a CPU a request without an adapter gets the one in the last place, where any request of its batch has one:
      https://github.com/vllm-project/vllm/pull/48421. So there is one place more than adapters.

    Args:
        model: The language model.
        loras: Folders of adapters by their names; none that are loaded later.
        rank: The largest of theirs.
        maps: What adapters stand beside, by the last parts of their names.
        count: Of adapters, with those that are loaded later.
    """
    words = ["vllm", "serve", model, "--enable-prompt-embeds", "--enable-lora", "--max-loras", str(count + 1)]
    words += ["--max-lora-rank", str(next((each for each in _RANKS if each >= rank), rank))]
    words += ["--lora-target-modules", *maps]
    if loras:
        words += ["--lora-modules", *(f"{name}={path}" for name, path in loras.items())]
    return shlex.join(words)
