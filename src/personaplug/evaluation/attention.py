"""Where the attention goes: from one example's weights to the curves of a report."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SLICES = 10
ENTROPY_BINS = 20


@dataclass(frozen=True, slots=True)
class ExampleAttention:
    """How one example's weights lie over the history.

    Attributes:
        entropy: Of the weights, over the logarithm of the number of items: 0 for all on one item, 1 for all alike; the
            mean over the persona vectors, so that vectors which look at different items are not taken for one that
            looks everywhere.
        effective_items: The exponential of the entropy: among how many items it is as if the weight were shared alike;
            the mean over the persona vectors.
        age_percentile: Mean over the weight: 0 for the newest item, 1 for the oldest, 0.5 for weights that ignore age.
        similarity_lift: Mean similarity over the weight, less the plain mean.
        by_age: Weight in each tenth of the history, newest first, as a multiple of the tenth's fair share.
        by_similarity: The same, least similar first.
    """

    entropy: float
    effective_items: float
    age_percentile: float
    similarity_lift: float
    by_age: tuple[float, ...]
    by_similarity: tuple[float, ...]

    @classmethod
    def of(
        cls,
        weights: Float[np.ndarray, "*personas items"],
        ages: Float[np.ndarray, " items"],
        similarities: Float[np.ndarray, " items"],
    ) -> "ExampleAttention":
        """Measure the weights of one example.

        Args:
            weights: Of one persona vector or of several; none negative, two items at least, for one leaves no choice.
            ages: Any unit that grows with age, such as days.
            similarities: To the query.
        """
        if len(ages) < 2:
            raise ValueError(f"attention over {len(ages)} items tells nothing")
        each = np.atleast_2d(weights) / np.sum(weights, axis=-1, keepdims=True)
        entropies = -np.sum(each * np.log(np.where(each > 0, each, 1.0)), axis=-1)
        weights = each.mean(axis=0)
        return cls(
            entropy=float(entropies.mean() / np.log(len(weights))),
            effective_items=float(np.exp(entropies).mean()),
            age_percentile=float(weights @ _percentiles(ages)),
            similarity_lift=float(weights @ similarities - similarities.mean()),
            by_age=_shares(weights, ages),
            by_similarity=_shares(weights, similarities),
        )


@dataclass(frozen=True, slots=True)
class AttentionSummary:
    """Where the attention goes over many examples: means, and the histogram of the entropies.

    Attributes:
        examples: How many were measured.
        entropy: See :class:`ExampleAttention`, like all below.
        entropy_histogram: Examples per bin, the bins of equal width from 0 to 1.
        effective_items: Mean.
        age_percentile: Mean.
        similarity_lift: Mean.
        by_age: Mean.
        by_similarity: Mean.
    """

    examples: int
    entropy: float
    entropy_histogram: tuple[int, ...]
    effective_items: float
    age_percentile: float
    similarity_lift: float
    by_age: tuple[float, ...]
    by_similarity: tuple[float, ...]

    @classmethod
    def of(cls, examples: Sequence[ExampleAttention]) -> "AttentionSummary":
        """Sum up examples, of which there must be at least one."""
        entropies = [each.entropy for each in examples]
        histogram, _ = np.histogram(np.clip(entropies, 0, 1), bins=ENTROPY_BINS, range=(0, 1))
        return cls(
            examples=len(examples),
            entropy=float(np.mean(entropies)),
            entropy_histogram=tuple(histogram.tolist()),
            effective_items=float(np.mean([each.effective_items for each in examples])),
            age_percentile=float(np.mean([each.age_percentile for each in examples])),
            similarity_lift=float(np.mean([each.similarity_lift for each in examples])),
            by_age=tuple(np.mean([each.by_age for each in examples], axis=0).tolist()),
            by_similarity=tuple(np.mean([each.by_similarity for each in examples], axis=0).tolist()),
        )


def _percentiles(values: Float[np.ndarray, " items"]) -> Float[np.ndarray, " items"]:
    """Rank values from 0 to 1, equal values alike."""
    _, groups, sizes = np.unique(values, return_inverse=True, return_counts=True)
    middles = np.cumsum(sizes) - (sizes + 1) / 2
    return middles[groups] / (len(values) - 1)


def _shares(weights: Float[np.ndarray, " items"], order: Float[np.ndarray, " items"]) -> tuple[float, ...]:
    """Spread each item's weight over its part of [0, 1], items in order, and read the mean density of each slice.

    Items of equal order share their weight, so that their own order does not matter.
    """
    _, groups, sizes = np.unique(order, return_inverse=True, return_counts=True)
    heights = np.cumsum(np.bincount(groups, weights=weights))
    edges = np.cumsum(sizes) / len(weights)
    slices = np.linspace(0, 1, SLICES + 1)
    reached = np.interp(slices, np.concatenate([[0], edges]), np.concatenate([[0], heights]))
    return tuple((np.diff(reached) * SLICES).tolist())
