"""Where the vectors of queries come from. Without torch, so that a command can say it before anything is loaded."""

from enum import Enum


class QuerySource(Enum):
    """Where the vectors of queries come from.

    A text's two vectors are alike but for rounding and, encoded, take the encoder's time: a choice between them decides
    what is measured, so nobody has one by default but ``PersonaPlug.from_pretrained``, which measures nothing.
    """

    ENCODER = "encoder"
    """Every query is encoded, as one must be that nobody has asked before."""

    ANEW = "anew"
    """The same, and nothing of it is kept for the next query, which may be another tenant's: nobody can tell what was
    asked before by the time that an answer takes."""

    STORE = "store"
    """The store's vector of the same text, where it holds one; queries are often items of the log."""
