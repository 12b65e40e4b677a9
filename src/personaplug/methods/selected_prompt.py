"""Choose a retriever for each query: RSPG (arXiv 2404.05970, section 4), before the language model answers or after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from personaplug.records import Example
from personaplug.rivals.selector import PromptSelector, option_texts
from personaplug.tasks.task import Task


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

    def __call__(self, examples: Sequence[Example]) -> list[str]:
        """Write a batch's prompts."""
        return self._chosen(examples, self._options(examples))

    def reads(self, examples: Sequence[Example]) -> list[list[str]]:
        """Give all prompts that are answered: for the choice after generation each option once, then the chosen one."""
        options = self._options(examples)
        answered = [dict.fromkeys(row) if self.answer else {} for row in options]
        return [[*row, chosen] for row, chosen in zip(answered, self._chosen(examples, options), strict=True)]

    def _options(self, examples: Sequence[Example]) -> list[tuple[str, ...]]:
        return list(zip(*(write(examples) for write in self.writers), strict=True))

    def _chosen(self, examples: Sequence[Example], prompts: Sequence[Sequence[str]]) -> list[str]:
        queries = [self.task.query_text(example.input) for example in examples]
        places = self.selector.choose(queries, option_texts(prompts, self.answer))
        return [row[place] for row, place in zip(prompts, places, strict=True)]
