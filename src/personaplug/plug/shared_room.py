"""The room for retrieved items as the LaMP benchmark shares it out: with items a prompt is no longer than without."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from personaplug.backbone.base import Backbone
from personaplug.records import HistoryItem
from personaplug.tasks.task import Task

_END = 1
"""The benchmark counts each text with the end token that its tokenizer writes."""

_STEP = 0.1


@dataclass(frozen=True, slots=True)
class SharedRoom:
    """Cuts items to the room that an input leaves them (https://github.com/LaMP-Benchmark/LaMP, ``LaMP/prompts``).

    The input counts as what it is, but as no more than its share of the prompt. The rest is shared equally; what an
    item leaves is the next one's. An item loses the end of its input alone (of its output, where the task writes no
    input). Where the words around the items leave one no room, the input's share falls by a tenth of the prompt, and
    with no share left the items go.

    Attributes:
        task: Says how items stand in a prompt.
        max_tokens: Longest prompt.
        count_input: Counts an input with all that stands around it.
        count_text: Counts a text's own tokens.
        cut: Gives a text's beginning of so many own tokens.
    """

    task: Task
    max_tokens: int
    count_input: Callable[[str], int]
    count_text: Callable[[str], int]
    cut: Callable[[str, int], str]

    @classmethod
    def of(cls, task: Task, backbone: Backbone, *, max_tokens: int) -> "SharedRoom":
        """Count and cut as a language model reads."""
        return cls(task, max_tokens, backbone.count_tokens, backbone.count_text_tokens, partial(_beginning, backbone))

    def fit(self, prompt: str, items: Sequence[HistoryItem]) -> list[HistoryItem]:
        """Cut the items of a prompt, the best first; none are left where there is no room for all."""
        share = self.task.retrieval.input_share
        while items and share >= 0:
            taken = min(self.count_input(prompt), int(share * self.max_tokens))
            rooms = self._rooms(items, each=self._each(prompt, len(items), room=self.max_tokens - taken))
            if min(rooms) >= 0:
                return [self._cut(item, room) for item, room in zip(items, rooms, strict=True)]
            share = round(share - _STEP, 6)
        return []

    def _each(self, prompt: str, count: int, *, room: int) -> int:
        """Share out what separators and the words around the items leave."""
        retrieval = self.task.retrieval
        if retrieval.after and retrieval.after in prompt:
            return (room - self._words(retrieval.separator) * (count - 1)) // count
        around = retrieval.prompt.replace("{items}", "").replace("{prompt}", "")
        return (room - self._words(around) - self._words(retrieval.separator) * (count - 1)) // count

    def _rooms(self, items: Sequence[HistoryItem], *, each: int) -> list[int]:
        """Say how many own tokens of its text each item may have; below zero where there is no room for its frame."""
        rooms, left = [], 0
        for item in items:
            frame = self.count_text(self.task.item_text(self._with_text(item, " "))) + 2 * _END
            rooms.append(each + left - frame)
            left += each - frame - min(self.count_text(self._text(item)), max(rooms[-1], 0))
        return rooms

    def _words(self, text: str) -> int:
        """Count words that stand between others."""
        return self.count_text(f"x{text}x") - 2 * self.count_text("x")

    def _cut(self, item: HistoryItem, room: int) -> HistoryItem:
        text = self._text(item)
        return item if self.count_text(text) <= room else self._with_text(item, self.cut(text, room))

    @property
    def _shows_input(self) -> bool:
        return "{input}" in self.task.retrieval.item

    def _text(self, item: HistoryItem) -> str:
        return item.input if self._shows_input else item.output

    def _with_text(self, item: HistoryItem, text: str) -> HistoryItem:
        return replace(item, input=text) if self._shows_input else replace(item, output=text)


def _beginning(backbone: Backbone, text: str, tokens: int) -> str:
    return backbone.cut(text, max_tokens=backbone.count_tokens("") + tokens) if tokens else ""
