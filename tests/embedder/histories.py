"""Random encoded histories, seeded."""

from collections.abc import Sequence

import torch
from hypothesis import settings
from torch import Tensor, nn
from torch.nn import functional

from personaplug.embedder.history import History, HistoryBatch

VIEWS, DIM, LLM_DIM = 2, 16, 12

few = settings(max_examples=20)
"""For laws over tensors: each example costs milliseconds, and shapes are few."""


def random_history(count: int, *, seed: int) -> History:
    """One user's history of unit vectors."""
    draw = torch.Generator().manual_seed(seed)
    vectors = functional.normalize(torch.randn(count, VIEWS, DIM, generator=draw), dim=-1)
    return History(vectors, 1000.0 * torch.rand(count, generator=draw))


def random_histories(counts: Sequence[int], *, seed: int) -> list[History]:
    """Histories of several users."""
    return [random_history(count, seed=1000 * seed + user) for user, count in enumerate(counts)]


def random_queries(count: int, *, seed: int) -> Tensor:
    """Unit vectors."""
    return functional.normalize(torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)), dim=-1)


def as_if_trained(module: nn.Module, *, seed: int = 0) -> nn.Module:
    """Move what is trained away from where it starts: a fresh plug has not learned to tell users apart."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in (each for each in module.parameters() if each.requires_grad):
            weight += 0.3 * torch.randn(weight.shape, generator=draw)
    return module


def pack(*histories: History) -> HistoryBatch:
    """Pack histories given one by one."""
    return HistoryBatch.pack(histories)
