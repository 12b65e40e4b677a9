"""What every source of history vectors has in common: its layout, its hashes, its one verb."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float16

from personaplug.errors import FingerprintMismatchError, StoreError
from personaplug.records import HistoryItem, Profile, fill

VECTOR_TYPE = np.dtype("<f2")
HASH_SIZE = 16

_OTHER_LAYOUT = (
    "name with --encoder, --task and --preset what the store was indexed with, or index the log into a new one"
)


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """What the vectors of a store are made of; two stores of one layout hold the same vector for the same item.

    Attributes:
        fingerprint: The encoder's.
        views: The templates, with ``{input}`` and ``{output}``, of the texts an item shows the encoder.
        dim: Size of one vector.
    """

    fingerprint: str
    views: tuple[str, ...]
    dim: int

    def __post_init__(self) -> None:
        if not self.views or self.dim < 1:
            raise ValueError(f"a store needs views and a dimension, not {self.views!r} and {self.dim}")

    def texts(self, item: HistoryItem) -> tuple[str, ...]:
        """Write an item as the encoder reads it, one text a view."""
        return tuple(fill(view, {"input": item.input, "output": item.output}) for view in self.views)

    def check(self, found: "StoreLayout", *, where: str, hint: str = "") -> None:
        """Raise unless ``found``, the layout of the store or snapshot at ``where``, is this one.

        Args:
            found: That layout.
            where: Its place.
            hint: What to do where the views alone differ; empty for what is true of any store.

        Raises:
            FingerprintMismatchError: It is not.
        """
        if found == self:
            return
        field = next(f for f in ("fingerprint", "views", "dim") if getattr(found, f) != getattr(self, f))
        raise FingerprintMismatchError(
            f"{where}: its vectors were made with {field} {getattr(found, field)!r}, not {getattr(self, field)!r}",
            hint=hint if hint and field == "views" else _OTHER_LAYOUT,
        )


@dataclass(frozen=True, slots=True)
class UserSummary:
    """How much a store holds of one user, and from when to when (UTC)."""

    user_id: str
    items: int
    first: datetime
    last: datetime


@runtime_checkable
class VectorSource(Protocol):
    """Anything that gives the vectors of a user's history items."""

    @property
    def layout(self) -> StoreLayout:
        """What the vectors are made of."""

    def vectors(self, profile: Profile) -> Float16[np.ndarray, "items views dim"]:
        """Fetch the vectors of a profile's items, in the profile's order, in an array of the caller's own.

        Raises:
            StoreError: An item is not there; names its id.
        """


def text_hash(text: str) -> bytes:
    """Hash a text's content, the same in every store."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_SIZE).digest()


def is_finite(vectors: Float16[np.ndarray, "..."]) -> bool:
    """Tell whether no number is NaN or infinite; numpy's own test takes ten times as long for float16."""
    return not vectors.size or bool((vectors.view("<u2") & 0x7FFF).max() < 0x7C00)


def checked_vectors(
    vectors: Float[np.ndarray, "..."], items: Sequence[HistoryItem], *, layout: StoreLayout
) -> Float16[np.ndarray, "items views dim"]:
    """Round vectors to what is stored, if their shape fits the items and every number is finite.

    Raises:
        StoreError: They do not fit.
    """
    wanted = (len(items), len(layout.views), layout.dim)
    if vectors.shape != wanted:
        raise StoreError(f"vectors of shape {vectors.shape} for items, views and dimension {wanted}")
    if not np.isfinite(vectors).all() or (vectors.size and np.abs(vectors).max() > np.finfo(VECTOR_TYPE).max):
        raise StoreError("vectors with numbers that are not finite in float16", hint="look for NaN in the encoder")
    return vectors.astype(VECTOR_TYPE)


def missing_item(item_id: str, *, where: str) -> StoreError:
    """Make the error for an item of a profile that a source does not hold."""
    return StoreError(
        f"{where}: there is no vector of history item {item_id!r}",
        hint="bring the store up to date: personaplug index LOG --task TASK --store FILE",
    )
