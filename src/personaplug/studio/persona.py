"""One user's persona as a person at the page meets it: what it answers, what it is made of, how it grows."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from personaplug.backbone.base import GenerationConfig
from personaplug.data.log import Interaction
from personaplug.embedder.encoder import TextEncoder
from personaplug.errors import ConfigError
from personaplug.plug.memory import Memory
from personaplug.plug.model import PersonaPlug
from personaplug.records import HistoryItem
from personaplug.store.indexing import index
from personaplug.store.persona_store import PersonaStore, UserSummary


@dataclass(frozen=True, slots=True)
class Answered:
    """What one input gave.

    Attributes:
        text: The input.
        with_persona: The answer in the user's way.
        without_persona: The bare language model's.
        memories: The user's, the weightiest for this input first.
    """

    text: str
    with_persona: str
    without_persona: str
    memories: tuple[Memory, ...]


class Persona:
    """The persona of one user who has at least one memory.

    Args:
        user: Their id.
        plug: Answers, over the store that holds their memories.
        encoder: Made that store's vectors.
        decoding: How answers are written.
        is_pasted: Whether the store is this user's alone and is gone with them.
    """

    def __init__(
        self,
        user: str,
        plug: PersonaPlug,
        encoder: TextEncoder,
        *,
        decoding: GenerationConfig,
        is_pasted: bool = False,
    ) -> None:
        if plug.store is None:
            raise ConfigError("this plug was made without a store, so it knows no users")
        self.user = user
        self.plug = plug
        self.store: PersonaStore = plug.store
        self.encoder = encoder
        self.decoding = decoding
        self.is_pasted = is_pasted

    def summary(self) -> UserSummary:
        """Say how much there is of the user.

        Raises:
            UnknownUserError: Nothing (any more).
        """
        return self.store.summary(self.user)

    def ask(self, text: str) -> Answered:
        """Answer an input with and without the persona.

        Raises:
            UnknownUserError: There is nothing (any more) of the user.
        """
        self.summary()
        return Answered(
            text,
            with_persona=self.plug.generate(text, user=self.user, config=self.decoding),
            without_persona=self.plug.generate(text, user=self.user, config=self.decoding, with_persona=False),
            memories=tuple(self.plug.explain(text, user=self.user)),
        )

    def append(self, items: Sequence[HistoryItem]) -> int:
        """Add memories; count those that are new."""
        rows = [Interaction(self.user, item) for item in items]
        return index(rows, self.store, encode=lambda texts: self.encoder.encode(texts).numpy()).new_items

    def forget(self) -> int:
        """Forget the user, down to the last byte; count the memories that are gone.

        Raises:
            UnknownUserError: There is nothing (any more) of the user.
            StoreError: Remains could not be wiped out; repeat.
        """
        gone = self.summary().items if self.is_pasted else self.store.forget(self.user)
        self.close()
        return gone

    def close(self) -> None:
        """Let go of what was pasted; a store's user stays."""
        if self.is_pasted:
            self.store.close()


def new_id() -> str:
    """Name a memory that was typed."""
    return f"studio-{uuid4().hex[:16]}"
