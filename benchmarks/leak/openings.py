"""How much of the first words of a user's outputs a pursuit finds: tokens at their places, and whole openings."""

from collections.abc import Sequence

from benchmarks.leak.pursuit import Found

Ids = Sequence[Sequence[int]]
"""The tokens of each of a user's outputs."""


def at_place(outputs: Ids, place: int) -> set[int]:
    """Give the tokens that stand at a place of some output."""
    return {ids[place] for ids in outputs if len(ids) > place}


def recall(found: Sequence[Found], outputs: Ids) -> float:
    """Say which share of the tokens at the first places was found there, a place a :class:`Found`."""
    true = [at_place(outputs, place) for place in range(len(found))]
    hits = sum(len(tokens & set(each.tokens)) for tokens, each in zip(true, found, strict=True))
    return hits / sum(map(len, true))


def precision(found: Sequence[Found], outputs: Ids) -> float:
    """Say which share of the tokens found at the first places stands there; 0 where none was found."""
    hits = sum(len(at_place(outputs, place) & set(each.tokens)) for place, each in enumerate(found))
    return hits / max(1, sum(len(each.tokens) for each in found))


def is_word_for_word(found: Sequence[Found], outputs: Ids) -> bool:
    """Tell whether the heaviest token of each place, one after the other, are how some output begins."""
    read = [each.tokens[0] if each.tokens else -1 for each in found]
    return any(list(ids[: len(read)]) == read for ids in outputs)


def share_found(found: Sequence[Found], ids: Sequence[int]) -> float:
    """Say which share of the first tokens of one output was found at their places; 0 for an output of no token."""
    hits = [token in each.tokens for token, each in zip(ids, found, strict=False)]
    return sum(hits) / max(1, len(hits))
