"""The histories of users who asked lately, kept in memory for as long as the store stays as it is."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float16

from personaplug.errors import UnknownUserError
from personaplug.records import Profile
from personaplug.serving.engine.metrics import Metrics
from personaplug.store.base import StoreLayout
from personaplug.store.persona_store import PersonaStore

_BYTES_AN_ITEM = 400  # of its Python objects


@dataclass(slots=True)
class _Kept:
    profile: Profile
    vectors: Float16[np.ndarray, "items views dim"]

    @property
    def size(self) -> int:
        """Bytes, about."""
        texts = sum(len(item.input) + len(item.output) for item in self.profile.items)
        return self.vectors.nbytes + texts + _BYTES_AN_ITEM * len(self.profile.items)


class HistoryCache:
    """Profiles with their vectors, out of memory where the store has not changed since they were read.

    Any change of the store, by this process or another, empties the memory: :meth:`refresh` looks for one.

    Args:
        store: Where they come from.
        capacity: Bytes kept in memory, of all users together, about; the users asked for longest ago leave first.
        metrics: Counts what was found in memory and what was not.
    """

    def __init__(self, store: PersonaStore, *, capacity: int = 512_000_000, metrics: Metrics) -> None:
        self.store = store
        self.capacity = capacity
        self._metrics = metrics
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0
        self._version = store.version

    @property
    def layout(self) -> StoreLayout:
        """What the vectors are made of."""
        return self.store.layout

    def refresh(self) -> None:
        """Forget what was read before the store's last change."""
        if (version := self.store.version) != self._version:
            self._kept.clear()
            self._size, self._version = 0, version
        self._metrics.personas.set(len(self._kept))

    def get(self, user_id: str) -> Profile:
        """Give a user's whole history; empty for a user whom the store does not know.

        Raises:
            StoreError: The history changed while it was read; ask again.
        """
        if kept := self._kept.get(user_id):
            self._metrics.persona_lookups.labels("hit").inc()
            self._kept.move_to_end(user_id)
            return kept.profile
        self._metrics.persona_lookups.labels("miss").inc()
        try:
            profile = self.store.get(user_id)
        except UnknownUserError:
            return Profile(user_id)
        self._keep(_Kept(profile, self.store.vectors(profile)))
        return profile

    def vectors(self, profile: Profile) -> Float16[np.ndarray, "items views dim"]:
        """Fetch the vectors of a profile, or of its latest items."""
        kept, count = self._kept.get(profile.user_id), len(profile.items)
        if kept and kept.profile.latest(count) == profile:
            return kept.vectors[len(kept.vectors) - count :]
        return self.store.vectors(profile)

    def _keep(self, kept: _Kept) -> None:
        self._kept[kept.profile.user_id] = kept
        self._size += kept.size
        while self._size > self.capacity and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._size -= oldest.size
