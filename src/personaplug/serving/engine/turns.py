"""The turns of a chat, and which of them are read where there is not room for all: never without the newest."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from personaplug.errors import PersonaPlugError


class LongInputError(PersonaPlugError):
    """An input for which there is no room, though every turn that may be left out is.

    Args:
        tokens: Of its prompt, as the language model counts them.
        room: Most tokens of a prompt.
        field: Of the request, where the input stands.
    """

    def __init__(self, tokens: int, room: int, *, field: str) -> None:
        super().__init__(f"an input of {tokens:,} tokens, where there is room for {room:,}", hint="shorten it")
        self.tokens = tokens
        self.room = room
        self.field = field


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a chat.

    Attributes:
        text: What was said.
        stays: Whether it is read however long the chat has become, as a system's message is.
    """

    text: str
    stays: bool = False


def joined(turns: Sequence[Turn]) -> str:
    """Write turns as one text, one below the other."""
    return "\n\n".join(turn.text for turn in turns if turn.text)


def fitted(turns: Sequence[Turn], *, count: Callable[[str], int], room: int, field: str) -> str:
    """Write as many turns as there is room for: the newest, those that stay, and of the others the latest.

    Args:
        turns: Oldest first, at least one.
        count: Counts the tokens of the prompt that a text becomes.
        room: Most tokens.
        field: Named where there is no room.

    Raises:
        LongInputError: There is no room for the newest turn beside those that stay.
    """
    if count(whole := joined(turns)) <= room:
        return whole
    kept = {at for at, turn in enumerate(turns) if turn.stays} | {len(turns) - 1}
    text = _chosen(turns, kept)
    if (tokens := count(text)) > room:
        raise LongInputError(tokens, room, field=field)
    for older in sorted(set(range(len(turns))) - kept, reverse=True):
        kept.add(older)
        if count(longer := _chosen(turns, kept)) > room:
            break
        text = longer
    return text


def _chosen(turns: Sequence[Turn], kept: Collection[int]) -> str:
    return joined([turns[at] for at in sorted(kept)])
