"""Scores and differences: the mean over seeds, with an interval over users and seeds; a single report is one seed.

A draw of the bootstrap draws users with replacement and, by itself, seeds with replacement: the interval holds how the
next person would fare with the next training. Few seeds bound their own spread badly, so a report shows each seed's
score beside it. The paired test flips users, in all seeds together.
"""

from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np
from jaxtyping import Float

from personaplug.evaluation.answers import Answer
from personaplug.evaluation.metrics import Metric
from personaplug.evaluation.significance import (
    Difference,
    Estimate,
    SeedSums,
    Statistic,
    aligned,
    flip_p_value,
    interval,
    user_sums,
)

Seeds = Sequence[Sequence[Answer]]
"""One method's answers to the same queries, once for each seed that it was trained with."""


def estimate(metric: Metric, seeds: Seeds, *, labels: Sequence[str] = (), seed: int = 0) -> Estimate:
    """Score the answers of one or several seeds; ``seed`` is of the interval.

    Raises:
        PersonaPlugError: They are not of the same queries.
    """
    sums = _sums(metric, _scorable(metric, _aligned(seeds)), labels=labels)
    low, high = interval(sums, metric.value, seed=seed)
    return Estimate(_mean_over_seeds(sums.sum(axis=0), metric.value), low, high)


def difference(metric: Metric, ours: Seeds, *, theirs: Seeds, labels: Sequence[str] = (), seed: int = 0) -> Difference:
    """Compare two methods seed by seed on the same queries; a method without seeds stands beside every seed.

    Raises:
        PersonaPlugError: They did not answer the same queries.
    """
    count = max(len(ours), len(theirs))
    both = _aligned([*_as_many(ours, count), *_as_many(theirs, count)])
    sums = _sums(metric, _scorable(metric, both), labels=labels)
    first, second = sums[:, :count], sums[:, count:]

    def gap(pairs: Float[np.ndarray, "*groups pieces"]) -> Float[np.ndarray, "*groups"]:
        one, other = np.split(pairs, 2, axis=-1)
        return np.asarray(metric.value(one) - metric.value(other))

    def mean(flat: Float[np.ndarray, "*groups pieces"]) -> Float[np.ndarray, "*groups"]:
        return np.asarray(metric.value(flat.reshape(*flat.shape[:-1], count, -1)).mean(axis=-1))

    paired = np.concatenate([first, second], axis=-1)
    low, high = interval(paired, gap, seed=seed)
    one, other = (side.reshape(len(side), -1) for side in (first, second))
    return Difference(
        _mean_over_seeds(paired.sum(axis=0), gap), low, high, flip_p_value(one, other, statistic=mean, seed=seed)
    )


def _as_many(seeds: Seeds, count: int) -> Seeds:
    """Repeat the only answers of a method without seeds; seeds that only one side has are left to be paired in turn."""
    return list(islice(cycle(seeds), count))


def _aligned(seeds: Seeds) -> Seeds:
    return [seeds[0], *(aligned(answers, seeds[0]) for answers in seeds[1:])]


def _scorable(metric: Metric, seeds: Seeds) -> Seeds:
    """Keep the queries that the metric can score with every seed."""
    indices = [at for at in range(len(seeds[0])) if all(metric.can_score(answers[at]) for answers in seeds)]
    return [[answers[at] for at in indices] for answers in seeds]


def _sums(metric: Metric, seeds: Seeds, *, labels: Sequence[str]) -> SeedSums:
    users = [answer.user_id for answer in seeds[0]]
    return np.stack([user_sums(metric.pieces(answers, labels), users) for answers in seeds], axis=1)


def _mean_over_seeds(sums: Float[np.ndarray, "seeds pieces"], statistic: Statistic) -> float:
    return float(statistic(sums).mean())
