"""Looks after the users of a store: what is known of them, what is added, and that they can be forgotten."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from jaxtyping import Float32

from personaplug.data.log import Interaction, content_id
from personaplug.embedder.encoder import TextEncoder
from personaplug.errors import PersonaPlugError, StoreAwayError, StoreError, UnknownUserError
from personaplug.plug.memory import Memory
from personaplug.records import HistoryItem, Profile
from personaplug.serving.engine.limits import Limits
from personaplug.serving.engine.models import Models
from personaplug.store.base import StoreLayout
from personaplug.store.indexing import index
from personaplug.store.persona_store import PersonaStore, UserSummary
from personaplug.worker import Worker

_Vector = Float32[np.ndarray, " dim"]

_TRIES = 3


class FullHistoryError(PersonaPlugError):
    """A history that would become longer than is allowed.

    Args:
        items: Most items.
        characters: Most characters of all inputs and outputs.
    """

    def __init__(self, items: int, characters: int) -> None:
        super().__init__(f"a history has at most {items:,} items and {characters:,} characters")


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


class HistoryService:
    """Reads and changes the store on one thread and encodes on another, so that neither waits for a batch of answers.

    Args:
        stores: Owns an open store.
        encoders: Owns an encoder of that store's vectors.
        models: Owns the models.
        layout: The store's.
        limits: How long a history may be.
    """

    def __init__(
        self,
        stores: Worker[PersonaStore],
        encoders: Worker[TextEncoder],
        models: Worker[Models],
        *,
        layout: StoreLayout,
        limits: Limits,
    ) -> None:
        self.layout = layout
        self.limits = limits
        self._stores = stores
        self._encoders = encoders
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

    async def written(self, user: str, write: Callable[[HistoryItem], str]) -> str:
        """Write all that is held of a user, item by item, away from the event loop.

        Raises:
            UnknownUserError: Nothing is.
        """
        return await self._stores.do(lambda store: "".join(map(write, store.get(user).items)))

    async def append(self, user: str, items: Sequence[NewItem]) -> Appended:
        """Add to a user's history; once this returns, the next answer knows it.

        Raises:
            FullHistoryError: It would become too long.
        """
        told, unseen = await self._stores.do(lambda store: self._told(store, user, items))
        vectors = await self._encoders.do(lambda encoder: _encoded(unseen, encoder)) if unseen else {}
        return await self._stores.do(lambda store: self._append(store, user, told, vectors))

    async def forget(self, user: str) -> int:
        """Remove a user, and every byte of them from the store's files; say how many items are gone.

        Raises:
            UnknownUserError: Nothing is held of them.
        """
        gone = await self._stores.do(lambda store: store.forget(user))
        self._models.submit(lambda models: models.personas.refresh())  # out of memory too, as soon as it is its turn
        return gone

    async def explain(self, model: str, text: str, *, user: str) -> list[Memory]:
        """Weigh a user's memories for an input, the weightiest first.

        Raises:
            ConfigError: This run has no persona.
            UnknownUserError: Nothing is held of the user.
        """
        for _ in range(_TRIES):
            await self.summary(user)
            try:
                if memories := await self._weighed(model, text, user=user):
                    return memories
            except StoreAwayError:
                raise
            except StoreError:
                continue  # the history was changed, or forgotten, while it was read
        return await self._weighed(model, text, user=user)

    async def _weighed(self, model: str, text: str, *, user: str) -> list[Memory]:
        return await self._models.do(lambda models: models.by_name[model].plug.explain(text, user=user))

    def _told(self, store: PersonaStore, user: str, items: Sequence[NewItem]) -> tuple[list[HistoryItem], list[str]]:
        """Give the items as they will be held, and the texts of those that are new or changed.

        Whether anybody's history has such a text is not looked at: how long an append takes would tell it.
        """
        known = _known(store, user)
        told = [_item(user, item, known=known) for item in items]
        self._check_length({**known, **{item.id: item for item in told}}.values())
        texts = (text for item in store.missing(user, told) for text in self.layout.texts(item) if text)
        return told, list(dict.fromkeys(texts))

    def _append(
        self, store: PersonaStore, user: str, told: Sequence[HistoryItem], vectors: Mapping[str, _Vector]
    ) -> Appended:
        def encode(texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
            """Look up; what was held as it is a moment ago and has changed since is encoded here."""
            late = [text for text in texts if text not in vectors]
            made = self._encoders.submit(lambda encoder: _encoded(late, encoder)).result() if late else {}
            return np.stack([made[text] if text in made else vectors[text] for text in texts])

        self._check_length({**_known(store, user), **{item.id: item for item in told}}.values())
        # One batch, however many they are: an append is stored as a whole or not at all.
        rows = [Interaction(user, item) for item in {item.id: item for item in told}.values()]
        counts = index(rows, store, encode=encode, batch_texts=len(told) * len(self.layout.views), is_shared=False)
        return Appended(counts.new_items, store.summary(user))

    def _check_length(self, items: Collection[HistoryItem]) -> None:
        most, characters = self.limits.items_per_user, self.limits.characters_per_user
        if len(items) > most or sum(len(item.input) + len(item.output) for item in items) > characters:
            raise FullHistoryError(most, characters)


def _encoded(texts: Sequence[str], encoder: TextEncoder) -> dict[str, _Vector]:
    return dict(zip(texts, encoder.encode(texts).numpy(), strict=True))


def _known(store: PersonaStore, user: str) -> dict[str, HistoryItem]:
    try:
        return {item.id: item for item in store.get(user).items}
    except UnknownUserError:
        return {}


def _item(user: str, item: NewItem, *, known: dict[str, HistoryItem]) -> HistoryItem:
    held = known.get(item.id) if item.id else None
    time = item.time or (held.time if held else datetime.now(UTC))
    item_id = item.id or content_id(user, time, text=item.input, output=item.output)
    return HistoryItem(item_id, item.input, item.output, time)
