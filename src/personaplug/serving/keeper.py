"""Looks after the users of a store: what is known of them, what is added, and that they can be forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from jaxtyping import Float32

from personaplug.data.log import Interaction, content_id
from personaplug.errors import PersonaPlugError, UnknownUserError
from personaplug.plug.model import Memory
from personaplug.records import HistoryItem, Profile
from personaplug.serving.models import Models
from personaplug.store.base import StoreLayout
from personaplug.store.indexing import index
from personaplug.store.sqlite import PersonaStore, UserSummary
from personaplug.worker import Worker


class FullHistoryError(PersonaPlugError):
    """A history that would become longer than is allowed."""

    def __init__(self, most: int) -> None:
        super().__init__(f"a history has at most {most:,} items")
        self.most = most


@dataclass(frozen=True, slots=True)
class NewItem:
    """Something a user did, as a client tells it.

    Attributes:
        input: What they read.
        output: What they answered.
        id: Unique within the user; None to derive it from the content.
        time: When; None for when the item of this id was first told, else for now.
    """

    input: str
    output: str
    id: str | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did.

    Attributes:
        new_items: Items that are new or changed.
        summary: What is held of the user now.
    """

    new_items: int
    summary: UserSummary


class Keeper:
    """Reads and changes the store on a thread of its own, so that neither waits for a batch of answers.

    Args:
        stores: Owns an open store.
        models: Owns the encoder.
        layout: The store's.
        items_per_user: Longest history.
    """

    def __init__(
        self, stores: Worker[PersonaStore], models: Worker[Models], layout: StoreLayout, *, items_per_user: int
    ) -> None:
        self.layout = layout
        self.items_per_user = items_per_user
        self._stores = stores
        self._models = models

    async def summary(self, user: str) -> UserSummary:
        """Say how much is held of a user.

        Raises:
            UnknownUserError: Nothing.
        """
        return await self._stores.do(lambda store: store.summary(user))

    async def profile(self, user: str) -> Profile:
        """Read all that is held of a user.

        Raises:
            UnknownUserError: Nothing is.
        """
        return await self._stores.do(lambda store: store.get(user))

    async def append(self, user: str, items: Sequence[NewItem]) -> Appended:
        """Add to a user's history; once this returns, the next answer knows it.

        Raises:
            FullHistoryError: It would become too long.
        """
        return await self._stores.do(lambda store: self._append(store, user, items))

    async def forget(self, user: str) -> int:
        """Remove a user, and every byte of them from the store's files; say how many items are gone.

        Raises:
            UnknownUserError: Nothing is held of them.
        """
        gone = await self._stores.do(lambda store: store.forget(user))
        await self._models.do(lambda models: models.personas.refresh())
        return gone

    async def explain(self, model: str, text: str, *, user: str) -> list[Memory]:
        """Weigh a user's memories for an input, the weightiest first.

        Raises:
            ConfigError: This run has no persona.
            UnknownUserError: Nothing is held of the user.
        """
        await self.summary(user)
        return await self._models.do(lambda models: models.by_name[model].plug.explain(text, user=user))

    def _append(self, store: PersonaStore, user: str, items: Sequence[NewItem]) -> Appended:
        known = _known(store, user)
        told = [_item(user, item, known) for item in items]
        if len({*known, *(item.id for item in told)}) > self.items_per_user:
            raise FullHistoryError(self.items_per_user)
        # One batch, however many they are: an append is stored as a whole or not at all.
        texts = len(told) * len(self.layout.views)
        counts = index((Interaction(user, item) for item in told), store, self._encode, batch_texts=texts)
        return Appended(counts.new_items, store.summary(user))

    def _encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        return self._models.submit(lambda models: models.encoder.encode(texts).numpy()).result()


def _known(store: PersonaStore, user: str) -> dict[str, HistoryItem]:
    try:
        return {item.id: item for item in store.get(user).items}
    except UnknownUserError:
        return {}


def _item(user: str, item: NewItem, known: dict[str, HistoryItem]) -> HistoryItem:
    held = known.get(item.id) if item.id else None
    time = item.time or (held.time if held else datetime.now(UTC))
    item_id = item.id or content_id(user, time, item.input, item.output)
    return HistoryItem(item_id, item.input, item.output, time)
