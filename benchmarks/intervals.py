"""Means with their 95% intervals, of a bootstrap that draws users."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from personaplug.evaluation.significance import Estimate, UserSums, interval, user_sums


def mean_over_users(values: Sequence[float], *, seed: int) -> Estimate:
    """Average one number a user."""
    return _mean(values, np.array([[value, 1.0] for value in values], dtype=float), seed=seed)


def mean_over_answers(values: Float[np.ndarray, " answers"], users: Sequence[str], *, seed: int) -> Estimate:
    """Average one number an answer, each of a user."""
    return _mean(values, user_sums(np.stack([values, np.ones_like(values)], axis=1), users), seed=seed)


def _mean(values: Sequence[float] | np.ndarray, sums: UserSums, *, seed: int) -> Estimate:
    low, high = interval(sums[:, None], lambda drawn: drawn[..., 0] / drawn[..., 1], seed=seed)
    return Estimate(float(np.mean(values)), low, high)
