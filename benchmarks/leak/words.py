"""What counts as a word: a token of the language model that is three letters or more, whatever its case."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from personaplug.backbone.base import Backbone

Bag = Counter[int]
"""How often each word, by number, is in a text."""

SHORTEST = 3
"""Letters of a word, at least."""


@dataclass(frozen=True, eq=False)
class Words:
    """The words of a language model's table.

    Attributes:
        of_token: The number of each token's word; -1 for a token that is none.
        texts: Each word by its number.
        backbone: Reads texts.
    """

    of_token: Int[np.ndarray, " tokens"]
    texts: tuple[str, ...]
    backbone: Backbone

    @classmethod
    def of(cls, backbone: Backbone) -> "Words":
        """Number the words of a language model."""
        count = len(backbone.model.get_input_embeddings().weight)
        numbers: dict[str, int] = {}
        of_token = np.full(count, -1)
        for token in range(count):
            text = backbone.tokenizer.decode([token]).strip().lower()
            if len(text) >= SHORTEST and text.isalpha():
                of_token[token] = numbers.setdefault(text, len(numbers))
        return cls(of_token, tuple(numbers), backbone)

    def bag(self, texts: Sequence[str]) -> Bag:
        """Count the words of texts, all together."""
        words = (self.of_token[token] for row in self.backbone.reader.ids(texts) for token in row)
        return Counter(int(word) for word in words if word >= 0)


@dataclass(frozen=True)
class Vocabulary:
    """The words that other users write, as an attacker knows them.

    Attributes:
        bags: One of each known user.
        fewest: Users who write a word, for it to be learned.
        rare: A word is rare if at most this share of the known users writes it.
    """

    bags: tuple[Bag, ...]
    fewest: int = 2
    rare: float = 0.05

    @cached_property
    def users(self) -> Counter[int]:
        """Count the users who write each word."""
        return Counter(word for bag in self.bags for word in bag)

    @cached_property
    def learned(self) -> tuple[int, ...]:
        """Name the words that enough users write, the most frequent first."""
        return tuple(word for word, count in self.users.most_common() if count >= self.fewest)

    def is_rare(self, word: int) -> bool:
        """Tell whether a word is rare; one that no known user writes is."""
        return self.users[word] <= self.rare * len(self.bags)

    def weighted(self, bags: Iterable[Bag]) -> Float[np.ndarray, "bags words"]:
        """Give ``log(1 + count) * log(users / users of the word)`` for each learned word."""
        rarity = np.log([len(self.bags) / self.users[word] for word in self.learned])
        counts = np.array([[bag[word] for word in self.learned] for bag in bags], dtype=np.float32)
        weighted: np.ndarray = (np.log1p(counts) * rarity).astype(np.float32)
        return weighted


def precision(named: Sequence[int], bag: Bag, *, at: int = 10) -> float:
    """Say which share of ``at`` words is in a bag; who names fewer misses with the others."""
    return sum(word in bag for word in named[:at]) / at
