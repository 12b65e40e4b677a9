"""Inversion: how many of ten words that an attack names are the user's, beside how many are a stranger's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from benchmarks.intervals import mean_over_users
from benchmarks.leak.ridge import STRENGTHS, Ridge, fit
from benchmarks.leak.words import Bag, Vocabulary, precision
from personaplug.evaluation.significance import Estimate

Named = Sequence[int]
"""Words by number, the surest first."""

Features = Float[np.ndarray, "rows features"]

_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Reading:
    """Precision at 10 of the words that an attack names, over users.

    Attributes:
        own: In the user's own history.
        stranger: The same words, in another user's history.
        less: Own minus stranger's: what was read of the person.
        rare: As ``own``, of the ten surest words that few users write.
        rare_stranger: As ``stranger``, of those.
    """

    own: Estimate
    stranger: Estimate
    less: Estimate
    rare: Estimate
    rare_stranger: Estimate

    @classmethod
    def of(
        cls, named: Sequence[Named], bags: Sequence[Bag], *, strangers: Sequence[int], vocabulary: Vocabulary, seed: int
    ) -> "Reading":
        """Score the words named for each user, of whom all words are given, most of them unsure."""
        rare = [[word for word in words if vocabulary.is_rare(word)] for words in named]
        others = [bags[at] for at in strangers]
        own, theirs = _precisions(named, bags), _precisions(named, others)
        less = [one - other for one, other in zip(own, theirs, strict=True)]
        columns = (own, theirs, less, _precisions(rare, bags), _precisions(rare, others))
        return cls(*(mean_over_users(values, seed=seed) for values in columns))

    @property
    def figures(self) -> dict[str, Estimate]:
        """Name the figures."""
        names = ("own", "stranger", "less", "rare", "rare_stranger")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Known:
    """What the attacker learns from: rows of features with their words, each of a known user."""

    features: Features
    bags: Sequence[Bag]
    users: Sequence[str]


def ridge_names(known: Known, held: Sequence[Features], *, vocabulary: Vocabulary) -> list[Named]:
    """Name the words of each user whose rows are held, by a ridge whose strength is chosen on known users.

    Four fifths of the known users are learned from; the strength is that of the best precision at 10 on the others.
    """
    fold = _folds(known.users)
    is_learned = fold > 0
    targets = vocabulary.weighted([bag for bag, is_in in zip(known.bags, is_learned, strict=True) if is_in])
    ridges = fit(known.features[is_learned], targets, strengths=STRENGTHS)
    checked = np.flatnonzero(~is_learned)
    scores = [_mean_precision(ridge, known, checked, vocabulary) for ridge in ridges]
    best = ridges[int(np.argmax(scores))]
    return [_names(best, rows, vocabulary) for rows in held]


def guess(vocabulary: Vocabulary) -> Named:
    """Name the words that most known users write."""
    return vocabulary.learned


def _names(ridge: Ridge, rows: Features, vocabulary: Vocabulary) -> Named:
    """Order the learned words by their weight in all rows of one user together."""
    order = ridge(rows).sum(axis=0).argsort()[::-1]
    return [vocabulary.learned[at] for at in order]


def _mean_precision(ridge: Ridge, known: Known, rows: np.ndarray, vocabulary: Vocabulary) -> float:
    predicted = ridge(known.features[rows]).argsort(axis=1)[:, ::-1][:, :10]
    named = [[vocabulary.learned[at] for at in words] for words in predicted]
    return float(np.mean(_precisions(named, [known.bags[at] for at in rows])))


def _folds(users: Sequence[str]) -> np.ndarray:
    """Put each user into one of the folds, all rows of a user into the same."""
    places = {user: place for place, user in enumerate(sorted(set(users)))}
    return np.array([places[user] % _FOLDS for user in users])


def _precisions(named: Sequence[Named], bags: Sequence[Bag]) -> list[float]:
    return [precision(words, bag) for words, bag in zip(named, bags, strict=True)]
