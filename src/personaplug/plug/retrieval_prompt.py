"""Put the user's own items, chosen by a retriever, into the prompt as text: alone a rival, or beside the persona."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Int

from personaplug.backbone.base import Backbone
from personaplug.errors import ConfigError
from personaplug.plug.shared_room import SharedRoom
from personaplug.records import Example, HistoryItem, fill
from personaplug.retrieval.base import Retriever
from personaplug.retrieval.dense import DenseRetriever
from personaplug.tasks.task import Task
from personaplug.tasks.whole_words import prompt_within

_LONGEST_WORD = 16  # characters


@dataclass(frozen=True, slots=True)
class RetrievalPrompt:
    """Writes prompts with the ``k`` best items of the user before the input, the best one first.

    Attributes:
        task: Says how items stand in a prompt.
        retriever: Ranks a user's items.
        k: Items in a prompt; fewer where the user has fewer.
        item_tokens: An item's input and output lose their last words until the item, in the prompt's words, is at most
            so long or nothing more than a word is left of either; the query's own input loses nothing to them.
        count_tokens: Counts a text's own tokens as the language model does.
        cut: Cuts a prompt without items where the language model does: room that items leave is not the input's.
        max_tokens: Longest prompt.
        vector_bytes: Bytes of an item's vector, where the retriever needs one.
        shared: Cuts items where the task shares a prompt's room between them and the input, which then takes what the
            items leave of ``max_tokens``; None where each item has ``item_tokens`` beside the input.
        frame_tokens: What the language model puts around every prompt, such as a chat's turn.
    """

    task: Task
    retriever: Retriever
    k: int
    item_tokens: int
    count_tokens: Callable[[str], int]
    cut: Callable[[str], str]
    max_tokens: int
    vector_bytes: int = 0
    shared: SharedRoom | None = None
    frame_tokens: int = 0

    @classmethod
    def of(
        cls,
        task: Task,
        retriever: Retriever,
        *,
        backbone: Backbone,
        k: int,
        item_tokens: int,
        beside: int,
        positions: int | None,
    ) -> "RetrievalPrompt":
        """Settle how prompts of a language model are written.

        Beside items the input keeps all the room that it has without, unless the task shares this room with them.

        Args:
            task: Says how items stand in a prompt.
            retriever: Ranks a user's items.
            backbone: Counts and cuts as it reads.
            k: Items in a prompt.
            item_tokens: Longest item; shorter where there is no room for ``k`` such.
            beside: Longest input.
            positions: All that the language model has for both; None for any number.

        Raises:
            ConfigError: Not even a token is left to each item.
        """
        around = backbone.count_text_tokens(fill(task.retrieval.prompt, {"items": "", "prompt": ""}))
        vector_bytes = retriever.vector_bytes if isinstance(retriever, DenseRetriever) else 0
        if task.retrieval.input_share:
            room = shown = beside if positions is None else min(beside, positions)
            shared = SharedRoom.of(task, backbone, max_tokens=room)
        else:
            room, shown = room_for_items(k, item_tokens, beside=beside + around, positions=positions), beside
            shared, item_tokens = None, (room - beside - around) // k
        return cls(
            task,
            retriever,
            k,
            item_tokens=item_tokens,
            count_tokens=backbone.count_text_tokens,
            cut=partial(backbone.cut, max_tokens=shown),
            max_tokens=room,
            vector_bytes=vector_bytes,
            shared=shared,
            frame_tokens=backbone.count_tokens("") - backbone.count_text_tokens(""),
        )

    def write(self, examples: Sequence[Example]) -> list[str]:
        """Write a batch's prompts, its queries encoded together where the retriever reads vectors."""
        chosen = zip(examples, self._items_of(examples), strict=True)
        return [self.with_items(example, items) for example, items in chosen]

    def prepare(self, examples: Sequence[Example]) -> None:
        """Have the examples' items encoded where the retriever does it itself; a store's are before anybody asks."""
        if isinstance(self.retriever, DenseRetriever) and self.retriever.encodes_items:
            for example in examples:
                if items := self.task.searched(example.profile).items:
                    self.retriever.vectors(items)

    def reads(self, examples: Sequence[Example]) -> list[list[str]]:
        """Give each example's prompt, which is all that is read."""
        return [[prompt] for prompt in self.write(examples)]

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the bytes of the texts, in UTF-8, and vectors of the items that may be retrieved of each user."""
        items = [self.task.searched(example.profile).items for example in examples]
        return np.array(list(map(self._item_bytes, items)), dtype=np.int64)

    def items(self, example: Example) -> list[HistoryItem]:
        """Choose an example's items, the best first, among those of its history that the task shows."""
        items = self.task.searched(example.profile).items
        ranks = self.retriever.rank(self.task.retrieval_query(example.input), items)
        return [items[rank] for rank in ranks[: self.k]]

    def with_items(self, example: Example, items: Sequence[HistoryItem]) -> str:
        """Write an example's prompt with these items, each shortened where it is too long.

        Where the words around items take more room than there is, the last items are left out: the input stays.
        """
        prompt = prompt_within(self.task, example.input, self.cut)
        if self.shared:
            return self.cut(prompt_within(self.task, example.input, self.cut, self.shared.fit(prompt, items)))
        prompt, shown = self.cut(prompt), [self._shortened(item) for item in items]
        written = self.task.with_items(prompt, shown)
        while shown and self.count_tokens(written) + self.frame_tokens > self.max_tokens:
            shown.pop()
            written = self.task.with_items(prompt, shown)
        return written

    def _items_of(self, examples: Sequence[Example]) -> list[list[HistoryItem]]:
        """Choose each example's items; each query is encoded once, whether or not the retriever remembers."""
        retriever = self.retriever
        if not examples or not isinstance(retriever, DenseRetriever):
            return [self.items(example) for example in examples]
        queries = retriever.encode([self.task.retrieval_query(example.input) for example in examples])
        shown = [self.task.searched(example.profile).items for example in examples]
        ranks = [retriever.rank_by(query, items)[: self.k] for query, items in zip(queries, shown, strict=True)]
        return [[items[rank] for rank in best] for items, best in zip(shown, ranks, strict=True)]

    def _item_bytes(self, items: Sequence[HistoryItem]) -> int:
        texts = sum(len(f"{item.input}{item.output}".encode(errors="surrogatepass")) for item in items)
        return texts + self.vector_bytes * len(items)

    def _shortened(self, item: HistoryItem) -> HistoryItem:
        words = self.item_tokens
        while self._tokens(item) > self.item_tokens and words > 0:
            item = replace(item, input=_first_words(item.input, words), output=_first_words(item.output, words))
            words = words * 4 // 5
        return item

    def _tokens(self, item: HistoryItem) -> int:
        return self.count_tokens(self.task.item_text(item) + self.task.retrieval.separator)


def room_for_items(k: int, item_tokens: int, *, beside: int, positions: int | None) -> int:
    """Say how long a prompt may be that holds ``k`` items beside the input.

    Args:
        k: Items, at least one.
        item_tokens: Longest item; where there is no room for ``k`` such, less is left to each.
        beside: Longest input, with what stands around it.
        positions: All that the language model has for both; None for any number.

    Raises:
        ConfigError: Not even a token is left to each item.
    """
    wanted = beside + k * item_tokens
    room = wanted if positions is None else min(wanted, positions)
    if room - beside < k:
        raise ConfigError(
            f"the language model has room for {max(0, room)} tokens: too few for {k} items beside the input",
            hint="a smaller --k, or a --run with a smaller max_input_tokens",
        )
    return room


def _first_words(text: str, count: int) -> str:
    """Keep the first words; of a script without spaces, about as much."""
    return " ".join(text.split()[:count])[: count * _LONGEST_WORD]
