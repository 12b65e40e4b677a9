"""The trained attack: ridge regression from vectors to the words of those users whom the attacker knows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Ridge penalties that are tried, as multiples of the mean eigenvalue of what they are added to."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear map from features to words.

    Attributes:
        center: Mean features of the rows it was fitted on.
        mean: Mean of their targets.
        basis: Where there are more features than rows, those rows, which features are compared with; else the identity.
        weights: From there to centered targets.
    """

    center: Float[np.ndarray, " features"]
    mean: Float[np.ndarray, " words"]
    basis: Float[np.ndarray, "features directions"]
    weights: Float[np.ndarray, "directions words"]

    def __call__(self, features: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows words"]:
        """Predict the targets of rows."""
        predicted: np.ndarray = (features - self.center) @ self.basis @ self.weights + self.mean
        return predicted


def fit(
    features: Float[np.ndarray, "rows features"],
    targets: Float[np.ndarray, "rows words"],
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> list[Ridge]:
    """Fit one map a strength; one decomposition serves all."""
    center, mean = features.mean(axis=0), targets.mean(axis=0)
    inputs, outputs = features - center, targets - mean
    is_wide = inputs.shape[1] > len(inputs)
    basis = inputs.T if is_wide else np.eye(inputs.shape[1], dtype=inputs.dtype)
    gram = inputs @ inputs.T if is_wide else inputs.T @ inputs
    values, vectors = np.linalg.eigh(gram)
    turned = vectors.T @ (outputs if is_wide else inputs.T @ outputs)
    scale = float(np.trace(gram)) / len(gram)
    return [
        Ridge(center, mean, basis, vectors @ (turned / (values.clip(min=0) + strength * scale)[:, None]))
        for strength in strengths
    ]
