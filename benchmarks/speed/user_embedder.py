"""The user embedder, forward and backward, against the published one: full histories, and those of a real log."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.paper_faithful import ITEMS, PublishedEmbedder
from benchmarks.speed.effort import Effort
from benchmarks.speed.logs import open_log
from benchmarks.speed.memory import peak_of
from benchmarks.speed.row import Row, Target
from benchmarks.speed.turns import in_turn
from personaplug.embedder.embedder_config import PAPER, EmbedderConfig
from personaplug.embedder.history import History, HistoryBatch
from personaplug.embedder.user_embedder import UserEmbedder

Work = Callable[[], object]
BATCH = 8


@dataclass(frozen=True, slots=True)
class Size:
    """Dimensions of the encoder and of the language model."""

    dim: int = 768
    llm_dim: int = 4096


def measure(effort: Effort) -> Iterator[Row]:
    """Measure both rows."""
    size = Size(96, 128) if effort.is_quick else Size()
    yield from full_histories(size, effort)
    yield from real_lengths(size, effort)


def full_histories(size: Size, effort: Effort) -> list[Row]:
    """Batch 8, 512 items each: time, and memory beyond weights and histories, each in a process of its own.

    On the published weights, and with the default's: its instruction is a vector, where the published one is an MLP.
    """
    counts = [ITEMS] * BATCH
    words = f"batch {BATCH}, {ITEMS} items, {size.dim} -> {size.llm_dim}, float32"
    theirs = peak_of(published_work, counts, size)
    rows = []
    for config, end in ((PAPER, ""), (EmbedderConfig(), ", our default")):
        ours = partial(our_work, config=config)
        turns = in_turn(ours(counts, size), published_work(counts, size), pairs=effort.pairs)
        name = f"user embedder, forward and backward{end}"
        rows.append(_row(name, words, ratios=turns.ratios, target=5.0, details=turns.details()))
        memory = {"our_mb": peak_of(ours, counts, size), "their_mb": theirs}
        share = memory["our_mb"] / theirs
        rows.append(Row(f"user embedder, memory{end}", words, share, "of theirs", Target("at most", 1 / 3), memory))
    return [*rows, _beyond_gradients(rows[1], size)]


def real_lengths(size: Size, effort: Effort) -> list[Row]:
    """Histories as long as those of the queries of git-subject, which shows its latest 200, and as its users' logs."""
    log = open_log("git_commits.jsonl.gz", "git-subject", is_quick=effort.is_quick)
    queries = log.examples("train")
    seen = log.task.history.max_items
    of_queries = [min(query.stop - query.start, seen) for query in queries.queries]
    of_users = [min(len(profile.items), ITEMS) for profile in queries.profiles]
    return [
        _ragged(f"histories of the queries of {log.name}", of_queries, size=size, pairs=effort.pairs),
        _ragged(f"histories of the users of {log.name}", of_users, size=size, pairs=effort.pairs),
    ]


def our_work(counts: Sequence[int], size: Size, *, config: EmbedderConfig = PAPER) -> Work:
    """Make our step, which packs its histories; ``counts`` are their lengths."""
    embedder, histories, query = _embedder(size, config), _histories(counts, size.dim), _queries(len(counts), size.dim)
    return lambda: _step(embedder, lambda: embedder(query, HistoryBatch.pack(histories)))


def published_work(counts: Sequence[int], size: Size) -> Work:
    """Make the published step, which looks its histories up in its padded table."""
    table = torch.zeros(len(counts), ITEMS, size.dim)
    for row, history in enumerate(_histories(counts, size.dim)):
        table[row, : len(history.ages)] = history.vectors[:, 0]
    published = PublishedEmbedder(_embedder(size, PAPER), table, torch.tensor(counts))
    query, questions = _queries(len(counts), size.dim), torch.arange(len(counts))
    return lambda: _step(published, lambda: published(query, questions))


def _beyond_gradients(row: Row, size: Size) -> Row:
    """Leave out of both sides the gradients that a step must give."""
    gradients = _megabytes_of_gradients(size)
    memory = row.details | {"gradients_mb": gradients}
    share = (memory["our_mb"] - gradients) / (memory["their_mb"] - gradients)
    return Row(f"{row.name} beyond the gradients", row.measured_on, share, row.unit, None, memory)


def _ragged(name: str, lengths: Sequence[int], *, size: Size, pairs: int) -> Row:
    counts = _spread([length for length in lengths if length])
    turns = in_turn(our_work(counts, size), published_work(counts, size), pairs=pairs)
    words = f"{len(counts)} histories over all lengths, {fmean(counts):.0f} items each, {size.dim} -> {size.llm_dim}"
    return _row(f"ragged histories: {name}", words, ratios=turns.ratios, target=10.0, details=turns.details())


def _spread(lengths: Sequence[int]) -> list[int]:
    """Take the middle length of each eighth, from the shortest to the longest."""
    ordered = sorted(lengths)
    return [ordered[(2 * part + 1) * len(ordered) // (2 * BATCH)] for part in range(BATCH)]


def _row(name: str, words: str, *, ratios: Sequence[float], target: float, details: dict[str, float]) -> Row:
    return Row(name, words, median(ratios), "x", Target("at least", target), details)


def _step(module: torch.nn.Module, forward: Callable[[], Tensor]) -> None:
    module.zero_grad(set_to_none=True)
    forward().square().sum().backward()


def _megabytes_of_gradients(size: Size) -> float:
    """Count the gradients that a step must give, ours and theirs alike: they have the same weights."""
    trained = (weight for weight in _embedder(size, PAPER).parameters() if weight.requires_grad)
    return sum(weight.numel() * weight.element_size() for weight in trained) / 1e6


def _embedder(size: Size, config: EmbedderConfig) -> UserEmbedder:
    torch.manual_seed(0)
    return UserEmbedder(config, views=1, dim=size.dim, llm_dim=size.llm_dim, embedding_norm=1.0)


def _histories(counts: Sequence[int], dim: int) -> list[History]:
    draw = torch.Generator().manual_seed(0)
    return [
        History(functional.normalize(torch.randn(count, 1, dim, generator=draw), dim=-1), torch.zeros(count))
        for count in counts
    ]


def _queries(count: int, dim: int) -> Tensor:
    """Unit vectors that want a gradient, as those of a trained query encoder do."""
    draw = torch.Generator().manual_seed(1)
    return functional.normalize(torch.randn(count, dim, generator=draw), dim=-1).requires_grad_()
