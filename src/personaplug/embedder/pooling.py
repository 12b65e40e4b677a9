"""How the states of a text's tokens become one vector."""

import json
from pathlib import Path
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor
from transformers.utils.hub import cached_file

Pooling = Literal["mean", "cls"]


def settled_pooling(model: str, pooling: Literal["auto", "mean", "cls"], *, revision: str) -> Pooling:
    """Settle a pooling of ``auto`` by the file that sentence-transformers keeps beside a model."""
    if pooling != "auto":
        return pooling
    file = pooling_file(model, revision=revision)
    settings = json.loads(file.read_text(encoding="utf-8")) if file else {}
    return "cls" if settings.get("pooling_mode_cls_token") else "mean"


def pooling_file(model: str, *, revision: str) -> Path | None:
    """Find that file in a model's folder or on the hub; None where there is none, as beside a plain language model."""
    file = cached_file(
        model,
        "1_Pooling/config.json",
        revision=revision or None,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return Path(file) if file else None


def masked_mean(
    states: Float[Tensor, "texts tokens dim"], mask: Bool[Tensor, "texts tokens"]
) -> Float[Tensor, "texts dim"]:
    """Average over the tokens that are there; zeros where there are none."""
    weights = mask[:, :, None].to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
