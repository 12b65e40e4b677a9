"""Random encoded histories, seeded."""

from collections.abc import Sequence

import torch
from hypothesis import settings
from torch import Tensor, nn
from torch.nn import functional

from personaplug.embedder.embedder_config import EmbedderConfig
from personaplug.embedder.history import History, HistoryBatch
from personaplug.embedder.user_embedder import UserEmbedder
from personaplug.embedder.wording import Wording

VIEWS, DIM, LLM_DIM, PLACES, NORM = 2, 16, 12, 3, 5.0

few = settings(max_examples=20)
"""For laws over tensors: each example costs milliseconds, and shapes are few."""


def random_history(count: int, *, seed: int) -> History:
    """One user's history of unit vectors."""
    draw = torch.Generator().manual_seed(seed)
    vectors = functional.normalize(torch.randn(count, VIEWS, DIM, generator=draw), dim=-1)
    return History(vectors, 1000.0 * torch.rand(count, generator=draw), random_wording(count, seed=seed))


def random_wording(count: int, *, seed: int) -> Wording:
    """Outputs of one token at least, each of a random length."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, PLACES + 1, (count, 1), generator=draw)
    mask = torch.arange(PLACES) < lengths
    return Wording(torch.randn(count, PLACES, LLM_DIM, generator=draw) * mask[:, :, None], mask)


def only(history: History, places: Sequence[int]) -> History:
    """The items at these places, in this order."""
    wording = Wording(history.wording.vectors[places], history.wording.mask[places])
    return History(history.vectors[places], history.ages[places], wording)


def with_padding(batch: HistoryBatch, extra: int, *, junk: float) -> HistoryBatch:
    """The same histories with so many more places for items, and junk where there is none."""
    wording = Wording(
        functional.pad(batch.wording.vectors, (0, 0, 0, 0, 0, extra)),
        functional.pad(batch.wording.mask, (0, 0, 0, extra)),
    )
    padded = HistoryBatch(
        functional.pad(batch.vectors, (0, 0, 0, 0, 0, extra)),
        functional.pad(batch.ages, (0, extra)),
        functional.pad(batch.mask, (0, extra)),
        wording,
    )
    padded.vectors[~padded.mask] = junk
    padded.ages[~padded.mask] = abs(junk)
    wording.vectors[~padded.mask] = junk
    wording.mask[~padded.mask] = junk > 0
    return padded


def random_histories(counts: Sequence[int], *, seed: int) -> list[History]:
    """Histories of several users."""
    return [random_history(count, seed=1000 * seed + user) for user, count in enumerate(counts)]


def random_queries(count: int, *, seed: int) -> Tensor:
    """Unit vectors."""
    return functional.normalize(torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)), dim=-1)


def fresh_embedder(config: EmbedderConfig, *, llm_dim: int = LLM_DIM) -> UserEmbedder:
    """An embedder of such histories, always of the same seed."""
    torch.manual_seed(0)
    return UserEmbedder(config, views=VIEWS, dim=DIM, llm_dim=llm_dim, embedding_norm=NORM).eval()


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
