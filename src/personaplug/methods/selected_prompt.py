"""Choose a retriever for each query: RSPG (arXiv 2404.05970, section 4), before the language model answers or after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from personaplug.records import Example
from personaplug.rivals.selector import PromptSelector, option_text
from personaplug.tasks.task import Task


@dataclass(frozen=True, slots=True)
class SelectedPrompt:
    """Writes the prompt of the retriever that a trained selector prefers.

    After generation, the chosen prompt is answered once more by whoever asked for it: one answer in as many as there
    are retrievers, and the method stays a prompt like all others.

    Attributes:
        task: Cuts the query out of an input.
        writers: What each retriever makes of an example, in the order the selector was trained with.
        selector: Scores the prompts.
        answer: Answers prompts, for the choice after generation; None for the choice before.
    """

    task: Task
    writers: Sequence[Callable[[Example], str]]
    selector: PromptSelector
    answer: Callable[[Sequence[str]], Sequence[str]] | None = None

    def __call__(self, example: Example) -> str:
        """Write an example's prompt."""
        return self._chosen(example, self._options(example))

    def look(self, examples: Sequence[Example]) -> None:
        """Have a batch's options answered together for the choice after generation, a retriever at a time.

        Asked one by one, whoever keeps the answers has them.
        """
        if self.answer:
            for write in self.writers:
                self.answer([write(example) for example in examples])

    def reads(self, example: Example) -> list[str]:
        """Give all prompts that are answered: for the choice after generation each option once, then the chosen one."""
        options = self._options(example)
        answered = dict.fromkeys(options) if self.answer else ()
        return [*answered, self._chosen(example, options)]

    def _options(self, example: Example) -> list[str]:
        return [write(example) for write in self.writers]

    def _chosen(self, example: Example, prompts: Sequence[str]) -> str:
        answers = self.answer(prompts) if self.answer else [None] * len(prompts)
        options = [option_text(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
        return prompts[self.selector.choose(self.task.query_text(example.input), options)]
