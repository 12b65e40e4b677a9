"""Choose a retriever for each query: RSPG (arXiv 2404.05970, section 4), before the language model answers or after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from personaplug.methods.last_asked import LastAsked
from personaplug.records import Example
from personaplug.rivals.selector import PromptSelector, option_texts
from personaplug.tasks.task import Task

_Choice = list[tuple[tuple[str, ...], int]]
"""Of each query, the prompts that there are, and the place of the one that is preferred."""


@dataclass(frozen=True, slots=True)
class SelectedPrompt:
    """Writes the prompt of the retriever that a trained selector prefers.

    After generation, the chosen prompt is answered once more by whoever asked for it: one answer in as many as there
    are retrievers, and the method stays a prompt like all others.

    Attributes:
        task: Cuts the query out of an input.
        writers: What each retriever makes of the examples, in the order the selector was trained with.
        selector: Scores the prompts.
        answer: Answers prompts, for the choice after generation; None for the choice before.
    """

    task: Task
    writers: Sequence[Callable[[Sequence[Example]], Sequence[str]]]
    selector: PromptSelector
    answer: Callable[[Sequence[str]], Sequence[str]] | None = None
    _choice: LastAsked[_Choice] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_choice", LastAsked(self._choose))

    def __call__(self, examples: Sequence[Example]) -> list[str]:
        """Write a batch's prompts."""
        return [row[place] for row, place in self._choice.anew(examples)]

    def reads(self, examples: Sequence[Example]) -> list[list[str]]:
        """Give all prompts that are answered: for the choice after generation each option once, then the chosen one."""
        return [[*(dict.fromkeys(row) if self.answer else ()), row[place]] for row, place in self._choice(examples)]

    def _choose(self, examples: Sequence[Example]) -> _Choice:
        rows = list(zip(*(write(examples) for write in self.writers), strict=True))
        queries = [self.task.query_text(example.input) for example in examples]
        options = option_texts(rows, self.answer, reads=self.selector.reads)
        return list(zip(rows, self.selector.choose(queries, options), strict=True))
