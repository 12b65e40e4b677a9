"""A mean over users with its 95% interval."""

from collections.abc import Sequence

import numpy as np

from personaplug.evaluation.significance import Estimate, interval


def mean_over_users(values: Sequence[float], *, seed: int) -> Estimate:
    """Average one number a user; the interval is of a bootstrap that draws users."""
    sums = np.array([[[value, 1.0]] for value in values], dtype=float)
    low, high = interval(sums, lambda drawn: drawn[..., 0] / drawn[..., 1], seed=seed)
    return Estimate(float(np.mean(values)), low, high)
