"""How sure a score and a difference are: bootstrap and sign flips, both over users.

Users, not answers, are drawn: one person's answers are alike, and the question is how the next person would fare.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from personaplug.errors import PersonaPlugError
from personaplug.evaluation.answers import Answer

RESAMPLES = 2_000
FLIPS = 10_000
_NUMBERS_AT_ONCE = 1 << 22

UserSums = Float[np.ndarray, "users pieces"]
SeedSums = Float[np.ndarray, "users seeds pieces"]
Statistic = Callable[[Float[np.ndarray, "*groups pieces"]], Float[np.ndarray, "*groups"]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference(Estimate):
    """One method's score less another's on the same queries, with its 95% interval.

    Attributes:
        p_value: How often chance alone makes a difference as large, by flipping users between the methods.
    """

    p_value: float


def aligned(answers: Sequence[Answer], others: Sequence[Answer]) -> list[Answer]:
    """Put answers (the second method) in the order of others (the first) to the same queries.

    Raises:
        PersonaPlugError: A query is missing on one side, or its right answer differs.
    """
    mine = {answer.query: answer for answer in answers}
    theirs = {answer.query for answer in others}
    hint = "evaluate both on the same log and split, with the same --limit and --seed"
    if mine.keys() != theirs:
        raise PersonaPlugError(
            f"they answer different queries: {len(mine.keys() & theirs)} are in both, "
            f"{len(theirs - mine.keys())} only in the first, {len(mine.keys() - theirs)} only in the second",
            hint=hint,
        )
    if changed := [other.id for other in others if mine[other.query].target != other.target]:
        raise PersonaPlugError(
            f"they hold different right answers to {len(changed)} queries, as to {changed[0]!r}", hint=hint
        )
    return [mine[other.query] for other in others]


def user_sums(pieces: Float[np.ndarray, "answers pieces"], users: Sequence[str]) -> UserSums:
    """Add up the pieces of each user; the order of answers does not matter."""
    places = {user: place for place, user in enumerate(sorted(set(users)))}
    sums = np.zeros((len(places), pieces.shape[1]))
    np.add.at(sums, [places[user] for user in users], pieces)
    return sums


def interval(sums: SeedSums, statistic: Statistic, *, seed: int) -> tuple[float, float]:
    """Bound the mean over seeds of a statistic with 95% confidence: the percentile bootstrap (Efron, 1979).

    Users are drawn with replacement and, by itself, seeds too, where there are several (Owen, 2007, arXiv 0712.1111).
    A single user and seed give an interval of no width, which says nothing.
    """
    rng, (users, seeds, pieces) = np.random.default_rng(seed), sums.shape
    flat, values = sums.reshape(users, -1), []
    for rows in _blocks(RESAMPLES, users):
        drawn = _times_drawn(rng.integers(users, size=(rows, users))) @ flat
        scores = statistic(drawn.reshape(rows, seeds, pieces))
        shares = _times_drawn(rng.integers(seeds, size=(rows, seeds))) / seeds if seeds > 1 else 1.0
        values.append((scores * shares).sum(axis=1))
    low, high = np.percentile(np.concatenate(values), [2.5, 97.5])
    return float(low), float(high)


def flip_p_value(first: UserSums, second: UserSums, *, statistic: Statistic, seed: int) -> float:
    """Test two-sidedly whether two methods differ: each user's two results change places by the toss of a coin."""
    rng, users = np.random.default_rng(seed), len(first)
    middle, half = (first + second).sum(axis=0) / 2, (first - second) / 2
    observed = abs(statistic(first.sum(axis=0)) - statistic(second.sum(axis=0)))
    as_large = 0
    for rows in _blocks(FLIPS, users):
        shift = (2.0 * rng.integers(2, size=(rows, users)) - 1) @ half
        gaps = np.abs(statistic(middle + shift) - statistic(middle - shift))
        as_large += int(np.count_nonzero(gaps >= observed - 1e-9))
    return (as_large + 1) / (FLIPS + 1)


def _times_drawn(draws: np.ndarray) -> Float[np.ndarray, "rows users"]:
    """Count how often each row drew each user."""
    rows, users = draws.shape
    places = draws + np.arange(rows)[:, None] * users
    return np.bincount(places.ravel(), minlength=draws.size).reshape(rows, users).astype(float)


def _blocks(rows: int, users: int) -> Iterator[int]:
    """Split many rows of one number a user into blocks that fit in memory."""
    block = max(1, _NUMBERS_AT_ONCE // users)
    for start in range(0, rows, block):
        yield min(block, rows - start)
