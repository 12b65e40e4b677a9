"""How a task finds a user's items for a prompt, and how they stand in it."""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Retrieval:
    r"""How items are found, and how they stand in a prompt.

    Attributes:
        item: One item in words, with ``{input}`` and ``{output}``.
        separator: Between two items.
        prompt: The whole, with ``{items}`` and ``{prompt}``.
        after: Items go into the input, right behind these words, a separator before each; ``prompt`` is for inputs
            without the words, and for all where this is None.
        text: What word search reads of an item, with ``{input}`` and ``{output}``; None for all views.
        query: A regular expression such as ``A: "(.*)" B: "(.*)"``, whose groups in the input, with a space between
            them, items are ranked by; the query for the encoder in inputs that do not fit, and for all where this is
            None.
        learned_text: What learned retrieval reads of an item, with ``{input}``, ``{output}`` and ``{date}``; None for
            what word search reads.
        similarity: What ``dense`` ranks by. ``cosine``: of the stored vectors of the first view. ``product``: of what
            word search reads, encoded when it is asked for, vectors left as long as pooling made them.
        keep_case: Whether word search tells Tea from tea.
        max_items: The latest so many items are ranked; 0 for all, None for as many as the persona sees.
        input_share: Where above 0, a prompt is no longer with items than without: the input takes at most this share of
            it, the items the rest in equal parts, and what one leaves is the next one's. At 0 each item has a length of
            its own beside the input.
    """

    item: str = "{input} -> {output}"
    separator: str = "\n"
    prompt: str = "{items}\n{prompt}"
    after: str | None = None
    text: str | None = None
    query: str | None = None
    learned_text: str | None = None
    similarity: Literal["cosine", "product"] = "cosine"
    keep_case: bool = False
    max_items: int | None = None
    input_share: float = 0.0

    def __post_init__(self) -> None:
        if (self.max_items or 0) < 0 or not 0 <= self.input_share < 1:
            raise ValueError(
                f"max_items {self.max_items} of retrieval must be 0 or more, input_share {self.input_share} from 0 to 1"
            )
        if self.query is None:
            return
        try:
            groups = re.compile(self.query).groups
        except re.error as error:
            raise ValueError(f"the query {self.query!r} of retrieval is no regular expression: {error}") from error
        if not groups:
            raise ValueError(f"the query {self.query!r} of retrieval has no (group)")
