"""Scores and differences over several seeds: the mean over seeds, with an interval over users and seeds.

A draw of the bootstrap draws users with replacement and, by itself, seeds with replacement (the two-way bootstrap of
Owen, 2007, arXiv 0712.1111): the interval holds how the next person would fare with the next training run. Few seeds
bound their own spread badly, so a report shows each seed's score beside it. With one seed it is the interval of
:mod:`personaplug.evaluation.significance`, to the digit. The paired test flips users, in all seeds together.
"""

from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np
from jaxtyping import Float

from personaplug.evaluation.answers import Answer
from personaplug.evaluation.metrics import Metric
from personaplug.evaluation.significance import (
    RESAMPLES,
    Difference,
    Estimate,
    Statistic,
    aligned,
    blocks,
    flip_p_value,
    times_drawn,
    user_sums,
)

Run = Sequence[Answer]
SeedSums = Float[np.ndarray, "users seeds pieces"]


def seed_estimate(metric: Metric, runs: Sequence[Run], labels: Sequence[str] = (), *, seed: int = 0) -> Estimate:
    """Score the runs of several seeds, which answered the same queries.

    Raises:
        PersonaPlugError: They did not.
    """
    sums = _sums(metric, _scorable(metric, _aligned(runs)), labels)
    low, high = _interval(sums, metric.value, seed=seed)
    return Estimate(_mean_over_seeds(sums.sum(axis=0), metric.value), low, high)


def seed_difference(
    metric: Metric, runs: Sequence[Run], others: Sequence[Run], labels: Sequence[str] = (), *, seed: int = 0
) -> Difference:
    """Compare two methods seed by seed on the same queries; a method without seeds stands beside every seed.

    Raises:
        PersonaPlugError: They did not answer the same queries.
    """
    count = max(len(runs), len(others))
    both = _aligned([*_as_many(runs, count), *_as_many(others, count)])
    sums = _sums(metric, _scorable(metric, both), labels)
    first, second = sums[:, :count], sums[:, count:]

    def gap(pairs: Float[np.ndarray, "*groups pieces"]) -> Float[np.ndarray, "*groups"]:
        ours, theirs = np.split(pairs, 2, axis=-1)
        return np.asarray(metric.value(ours) - metric.value(theirs))

    def mean(flat: Float[np.ndarray, "*groups pieces"]) -> Float[np.ndarray, "*groups"]:
        return np.asarray(metric.value(flat.reshape(*flat.shape[:-1], count, -1)).mean(axis=-1))

    paired = np.concatenate([first, second], axis=-1)
    low, high = _interval(paired, gap, seed=seed)
    ours, theirs = (side.reshape(len(side), -1) for side in (first, second))
    return Difference(_mean_over_seeds(paired.sum(axis=0), gap), low, high, flip_p_value(ours, theirs, mean, seed=seed))


def _as_many(runs: Sequence[Run], count: int) -> list[Run]:
    """Repeat the only run of a method without seeds; seeds that only one side has are left to be paired in turn."""
    return list(islice(cycle(runs), count))


def _aligned(runs: Sequence[Run]) -> list[Run]:
    return [runs[0], *(aligned(run, runs[0]) for run in runs[1:])]


def _scorable(metric: Metric, runs: Sequence[Run]) -> list[Run]:
    """Keep the queries that the metric can score in every run."""
    places = [place for place in range(len(runs[0])) if all(metric.can_score(run[place]) for run in runs)]
    return [[run[place] for place in places] for run in runs]


def _sums(metric: Metric, runs: Sequence[Run], labels: Sequence[str]) -> SeedSums:
    each = [user_sums(metric.pieces(run, labels), [answer.user_id for answer in run]) for run in runs]
    return np.stack(each, axis=1)


def _mean_over_seeds(sums: Float[np.ndarray, "seeds pieces"], statistic: Statistic) -> float:
    return float(statistic(sums).mean())


def _interval(sums: SeedSums, statistic: Statistic, *, seed: int) -> tuple[float, float]:
    """Bound the mean over seeds with 95% confidence."""
    rng, (users, seeds, pieces) = np.random.default_rng(seed), sums.shape
    flat, values = sums.reshape(users, -1), []
    for rows in blocks(RESAMPLES, users):
        drawn = times_drawn(rng.integers(users, size=(rows, users))) @ flat
        scores = statistic(drawn.reshape(rows, seeds, pieces))
        shares = times_drawn(rng.integers(seeds, size=(rows, seeds))) / seeds if seeds > 1 else 1.0
        values.append((scores * shares).sum(axis=1))
    low, high = np.percentile(np.concatenate(values), [2.5, 97.5])
    return float(low), float(high)
