"""Choose the items of a history that the persona is made of: all of them, the latest, or those most like the query.

The method reads all (arXiv 2409.11901, section 3.2); to read fewer is what retrieval does, and an ablation here.
"""

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from personaplug.embedder.history import HistoryBatch

By = Literal["latest", "similar"]


def selected(history: HistoryBatch, query: Float[Tensor, "batch dim"], *, count: int, by: By) -> HistoryBatch:
    """Hide all but so many items of each history; of equally similar items the later is kept.

    Args:
        history: Oldest items first.
        query: Unit vectors of the inputs, which ``similar`` compares with the items' keys.
        count: Most items kept of a history; 0 for all.
        by: Which items are kept.
    """
    if not count:
        return history
    return replace(history, mask=history.mask & (_ranks(_scores(history, query, by=by)) < count))


def likest(history: HistoryBatch, query: Float[Tensor, "batch dim"], *, count: int) -> HistoryBatch:
    """Give the items most like the query alone, so many of each history at most; the likest stands last.

    Args:
        history: As of :func:`selected`.
        query: As there.
        count: At least one.
    """
    ranks = _ranks(_scores(history, query, by="similar"))
    return history.at(ranks.argsort(dim=1)[:, :count].flip(1))


def _scores(history: HistoryBatch, query: Float[Tensor, "batch dim"], *, by: By) -> Float[Tensor, "batch items"]:
    """Say how well items fit; those that are not there do not at all."""
    if by == "similar":
        scores = (history.keys.float() * query[:, None].float()).sum(dim=-1)
    else:
        scores = torch.arange(history.mask.shape[1], device=history.mask.device).expand_as(history.mask).float()
    return scores.masked_fill(~history.mask, -torch.inf)


def _ranks(scores: Float[Tensor, "batch items"]) -> Int[Tensor, "batch items"]:
    """Say of each item how many come before it, the highest score first and of equal scores the later item first."""
    order = scores.flip(1).argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1).flip(1)
