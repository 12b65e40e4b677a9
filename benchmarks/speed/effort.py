"""How much work a measurement may be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """How much work a measurement may be.

    Attributes:
        is_quick: Toy sizes, to see that everything works; the figures mean nothing.
        pairs: Turns of each side where two are compared.
    """

    is_quick: bool = False
    pairs: int = 5
