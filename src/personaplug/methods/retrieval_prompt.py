"""Put the user's own items, chosen by a retriever, into the prompt as text: the rival without any training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from personaplug.records import Example, HistoryItem
from personaplug.retrieval.base import Retriever
from personaplug.tasks.task import Task

_LONGEST_WORD = 16  # characters


@dataclass(frozen=True, slots=True)
class RetrievalPrompt:
    """Writes prompts with the ``k`` best items of the user before the input, the best one first.

    Attributes:
        task: Says how items stand in a prompt.
        retriever: Ranks a user's items.
        k: Items in a prompt; fewer where the user has fewer.
        item_tokens: An item's input and output lose their last words until the item, in the prompt's words, is at most
            so long or nothing more than a word is left of either; the query's own input is never shortened.
        count_tokens: Counts as the language model does.
        vector_bytes: Bytes of an item's vector, where the retriever needs one.
    """

    task: Task
    retriever: Retriever
    k: int
    item_tokens: int
    count_tokens: Callable[[str], int]
    vector_bytes: int = 0

    def __call__(self, example: Example) -> str:
        """Write an example's prompt."""
        items = example.profile.latest(self.task.history.max_items).items
        ranks = self.retriever.rank(self.task.query_text(example.input), items)
        return self.write(example, [items[rank] for rank in ranks[: self.k]])

    def kept(self, example: Example) -> int:
        """Count the bytes of the texts, in UTF-8, and vectors of the items that may be retrieved."""
        items = example.profile.latest(self.task.history.max_items).items
        texts = sum(len(f"{item.input}{item.output}".encode(errors="surrogatepass")) for item in items)
        return texts + self.vector_bytes * len(items)

    def write(self, example: Example, items: Sequence[HistoryItem]) -> str:
        """Write an example's prompt with these items, each shortened where it is too long."""
        return self.task.prompt_text(example.input, [self._shortened(item) for item in items])

    def _shortened(self, item: HistoryItem) -> HistoryItem:
        words = self.item_tokens
        while self._tokens(item) > self.item_tokens and words > 0:
            item = replace(item, input=_first_words(item.input, words), output=_first_words(item.output, words))
            words = words * 4 // 5
        return item

    def _tokens(self, item: HistoryItem) -> int:
        return self.count_tokens(self.task.item_text(item) + self.task.retrieval.separator)


def _first_words(text: str, count: int) -> str:
    """Keep the first words; of a script without spaces, about as much."""
    return " ".join(text.split()[:count])[: count * _LONGEST_WORD]
