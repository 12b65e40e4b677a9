"""The studio: a trained plug over a store of users, and over the histories that visitors paste."""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice

from personaplug.backbone.base import GenerationConfig
from personaplug.embedder.encoder import TextEncoder
from personaplug.errors import ConfigError, StudioError, UnknownUserError
from personaplug.plug.model import PersonaPlug
from personaplug.plug.prefix import TunedPrefix
from personaplug.store.persona_store import PersonaStore
from personaplug.studio.pasted import checked, read_pasted
from personaplug.studio.persona import Persona

LISTED = 2000
"""Users that a page lists; others are chosen by their whole id."""

PASTED_USER = "the pasted history"


class Studio:
    """What every visitor of the page shares.

    Args:
        plug: Trained, over the store of users.
        encoder: Made the store's vectors.
        decoding: How answers are written.

    Raises:
        ConfigError: The plug has no persona, or no store.
    """

    def __init__(self, plug: PersonaPlug, encoder: TextEncoder, *, decoding: GenerationConfig | None = None) -> None:
        if isinstance(plug.prefix, TunedPrefix):
            raise ConfigError("a tuned prompt has no persona to show", hint="give the run of a plug")
        if plug.store is None:
            raise ConfigError("this plug was made without a store, so it knows no users")
        self.plug = plug
        self.store: PersonaStore = plug.store
        self.encoder = encoder
        self.decoding = decoding or GenerationConfig()

    def users(self) -> list[str]:
        """List the first :data:`LISTED` users, sorted."""
        return list(islice(self.store.users(), LISTED))

    def persona(self, user: str) -> Persona:
        """Find a user of the store.

        Raises:
            StudioError: The store holds nothing of them.
        """
        try:
            self.store.summary(checked(user))
        except UnknownUserError:
            raise StudioError(f"There is no user “{user:.60}” in {self.store.path.name}.") from None
        return Persona(user, self.plug, self.encoder, decoding=self.decoding)

    def pasted(self, text: str, *, now: datetime) -> Persona:
        """Make a persona of a pasted history, in a store in memory that is gone once it is closed.

        Raises:
            StudioError: The text is no history.
        """
        items = read_pasted(text, now=now)
        store = PersonaStore.in_memory(self.store.layout)
        plug = self.plug.over(store, self.encoder)
        persona = Persona(PASTED_USER, plug, self.encoder, decoding=self.decoding, is_pasted=True)
        persona.append(items)
        return persona

    def suggest(self, persona: Persona | None) -> str:
        """Find an input to try: the latest of the next user after this one, in the order of their ids.

        Raises:
            StudioError: No other user has a memory with an input.
        """
        for user in islice(self._others(persona), 20):
            latest = self.store.get(user).items[-1]
            if latest.input.strip():
                return latest.input
        raise StudioError("There is no other user whose input could be tried; type one.")

    def _others(self, persona: Persona | None) -> Iterator[str]:
        own = persona.user if persona and not persona.is_pasted else None
        after = (user for user in self.store.users() if own is None or user > own)
        before = (user for user in self.store.users() if own is not None and user < own)
        return chain(after, before)
