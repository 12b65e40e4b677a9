"""Kept inputs as a file, for the next training on the same queries: of another method, or with another seed."""

import json
import logging
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedModel

from personaplug.backbone.kept_inputs import KeptInputs
from personaplug.embedder.checkpoint import write_tensors
from personaplug.files import appearing

log = logging.getLogger(__name__)

_SECONDS = "seconds"


def inputs_file(folder: Path, model: PreTrainedModel, said: Sequence[object]) -> Path:
    """Name the file of what a model makes of inputs: another model, precision or input has another name.

    Args:
        folder: Where such files lie.
        model: The frozen model that reads.
        said: What else decides what is kept, such as texts, limits and budget; as JSON writes it.
    """
    digest = blake2b(digest_size=16)
    for part in (torch.__version__, transformers.__version__, *said):
        digest.update(json.dumps(part).encode())
    for name, weight in model.named_parameters():
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)} {_sum_of_bits(weight)}".encode())
    return folder / f"{digest.hexdigest()}.safetensors"


def write_inputs(kept: KeptInputs, path: Path, *, seconds: float) -> None:
    """Write what is kept, in a folder of its owner alone: it can be told from it what was read.

    Where it cannot be written, such as on a full disk, there is no file: the next training reads for itself.

    Args:
        kept: Inputs that were read.
        path: As :func:`inputs_file` names it.
        seconds: What reading them took.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with appearing(path) as fresh:
            write_tensors(kept.rows, fresh, metadata={_SECONDS: repr(seconds)})
    except OSError as error:
        log.info("what was read of inputs is not kept for others: %s", error)


def take_inputs(path: Path, kept: KeptInputs, *, device: torch.device) -> float | None:
    """Take what a file holds; on a CPU it is mapped into memory, and read from the disk as it is needed.

    Args:
        path: As :func:`inputs_file` names it.
        kept: Takes them.
        device: That of the language model.

    Returns:
        What reading them took once, in seconds; None where there is no file, or one that is broken.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                kept.take(name, file.get_tensor(name))
            return float(file.metadata()[_SECONDS])
    except FileNotFoundError:
        return None
    except SafetensorError as error:
        log.info("inputs are read anew: %s: %s", path, error)
        return None


def _sum_of_bits(weight: Tensor) -> int:
    """Add up a tensor's bytes, whatever they are of: exact, in whichever order."""
    flat = weight.detach().contiguous().view(-1)
    whole = flat.view({1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[flat.element_size()])
    return int(whole.sum(dtype=torch.int64))
