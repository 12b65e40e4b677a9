"""Hold the encoded histories of a batch of users, padded and masked."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from personaplug.embedder.wording import Wording


@dataclass(frozen=True, slots=True)
class History:
    """One user's encoded history, oldest item first.

    Attributes:
        vectors: One unit vector per view of each item (see ``Task.views``); a view without text is all zeros.
        ages: Days between each item and the query, at least zero.
        wording: How each item's output is worded; None where the persona is not made of that.
    """

    vectors: Float[Tensor, "items views dim"]
    ages: Float[Tensor, " items"]
    wording: Wording | None = None


@dataclass(frozen=True, slots=True)
class HistoryBatch:
    """Histories of several users side by side.

    Attributes:
        vectors: As in :class:`History`; whatever stands where ``mask`` is False has no influence.
        ages: As in :class:`History`.
        mask: True where an item is real. A row may be all False: a user without a history.
        wording: As in :class:`History`, ``[batch, items]`` of them.
    """

    vectors: Float[Tensor, "batch items views dim"]
    ages: Float[Tensor, "batch items"]
    mask: Bool[Tensor, "batch items"]
    wording: Wording | None = None

    def __post_init__(self) -> None:
        if not self.vectors.shape[:2] == self.ages.shape == self.mask.shape:
            shapes = [tuple(t.shape) for t in (self.vectors, self.ages, self.mask)]
            raise ValueError(f"vectors, ages and mask disagree about batch and items: {shapes}")

    @property
    def keys(self) -> Float[Tensor, "batch items dim"]:
        """The view that attention compares with the query: the first."""
        return self.vectors[:, :, 0]

    @property
    def is_empty(self) -> Bool[Tensor, " batch"]:
        """True where a user has no history."""
        return ~self.mask.any(dim=1)

    def at(self, items: Int[Tensor, "batch some"]) -> "HistoryBatch":
        """Give some items of each user, in another order."""
        rows = torch.arange(len(items), device=items.device)[:, None]
        wording = self.wording and Wording(self.wording.vectors[rows, items], self.wording.mask[rows, items])
        return HistoryBatch(self.vectors[rows, items], self.ages[rows, items], self.mask[rows, items], wording)

    @classmethod
    def pack(cls, histories: Sequence[History]) -> "HistoryBatch":
        """Pad histories to the longest; at least one history must be given."""
        longest = max(len(history.ages) for history in histories)
        _, views, dim = histories[0].vectors.shape
        vectors = histories[0].vectors.new_zeros(len(histories), longest, views, dim)
        ages = vectors.new_zeros(len(histories), longest)
        mask = torch.zeros(len(histories), longest, dtype=torch.bool, device=vectors.device)
        for row, history in enumerate(histories):
            count = len(history.ages)
            vectors[row, :count], ages[row, :count], mask[row, :count] = history.vectors, history.ages, True
        wordings = [history.wording for history in histories if history.wording is not None]
        return cls(vectors, ages, mask, Wording.pack(wordings, longest=longest) if wordings else None)

    def to(self, device: torch.device) -> "HistoryBatch":
        """Move to a device."""
        wording = None if self.wording is None else self.wording.to(device)
        return HistoryBatch(self.vectors.to(device), self.ages.to(device), self.mask.to(device), wording)
