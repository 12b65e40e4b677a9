"""What an attacker may hold of a user: a persona or a part of it, or the vectors of the items in a store."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch

from benchmarks.batches import in_batches
from benchmarks.leak.population import latest
from benchmarks.leak.switches import Switch, Vectors
from personaplug.plug.model import PersonaPlug
from personaplug.plug.prefix import PersonaPrefix
from personaplug.records import Example

_AT_ONCE = 64


class Form(Protocol):
    """Makes what is held of each example's user: a row for a persona, a row an item for stored vectors."""

    name: str
    made_as: str

    def __call__(self, examples: Sequence[Example], switch: Switch) -> list[Vectors]:
        """Make all that forms of the same ``made_as`` have in common."""

    def held(self, vectors: Vectors) -> Vectors:
        """Cut out what is held of it."""


@dataclass(frozen=True, slots=True)
class PersonaForm:
    """The user's vectors beside the input, as the plug's own code makes them.

    Attributes:
        name: In tables.
        made_as: The same for all parts of one run's personas.
        plug: A trained run.
        first: The first of the user's vectors that is held.
        last: One past the last; None for all that follow.
    """

    name: str
    made_as: str
    plug: PersonaPlug
    first: int = 0
    last: int | None = None

    @torch.no_grad()
    def __call__(self, examples: Sequence[Example], switch: Switch) -> list[Vectors]:
        """Make one row of vectors an example, of the whole persona."""
        with at_temperature(self.plug, switch.temperature):
            whole = torch.cat([self._made(batch) for batch in _batches(examples, switch)])
        return list(switch.change(whole).split(1))

    def held(self, vectors: Vectors) -> Vectors:
        """Cut out the part."""
        return vectors[:, self.first : self.last]

    def _made(self, examples: Sequence[Example]) -> Vectors:
        made = self.plug.prefix(self.plug.batcher(examples))
        return made[:, persona_places(self.plug)].float()


@dataclass(frozen=True, slots=True)
class StoredForm:
    """The sentence encoder's vectors of each item, as the store and its snapshot keep them."""

    name: str
    made_as: str
    plug: PersonaPlug

    def held(self, vectors: Vectors) -> Vectors:
        """Give all."""
        return vectors

    def __call__(self, examples: Sequence[Example], switch: Switch) -> list[Vectors]:
        """Fetch a row of views for each item of each example."""
        assert self.plug.source is not None
        shown = [example for batch in _batches(examples, switch) for example in batch]
        rows = [torch.from_numpy(self.plug.source.vectors(each.profile).astype("float32")) for each in shown]
        return list(switch.change(torch.cat(rows)).split([len(each) for each in rows]))


def persona_places(plug: PersonaPlug) -> slice:
    """Say where among a plug's vectors the user's own stand."""
    assert isinstance(plug.prefix, PersonaPrefix)
    return plug.prefix.embedder.config.persona_places


@contextmanager
def at_temperature(plug: PersonaPlug, temperature: float | None) -> Iterator[None]:
    """Have the attention divide similarities by another number for a while."""
    if temperature is None:
        yield
        return
    assert isinstance(plug.prefix, PersonaPrefix)
    held = plug.prefix.embedder.aggregator.log_temperature.data
    before = held.clone()
    try:
        held.fill_(torch.tensor(temperature).log())
        yield
    finally:
        held.copy_(before)


def _batches(examples: Sequence[Example], switch: Switch) -> Iterator[Sequence[Example]]:
    """Cut the histories as the switch says."""
    shown = latest(examples, switch.items)
    return in_batches(shown, _AT_ONCE)
