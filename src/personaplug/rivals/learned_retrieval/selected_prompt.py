"""Choose a retriever for each query: RSPG (arXiv 2404.05970, section 4), before the language model answers or after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from personaplug.methods.prompt_writer import PromptWriter
from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.records import Example
from personaplug.rivals.learned_retrieval.selector import PromptSelector, option_texts
from personaplug.tasks.task import Task


@dataclass(frozen=True, slots=True)
class SelectedPrompt:
    """Writes the prompt of the retriever that a trained selector prefers.

    After generation, the chosen prompt is answered once more by whoever asked for it: one answer in as many as there
    are retrievers, and the method stays a prompt like all others.

    Attributes:
        task: Cuts the query out of an input.
        writers: Of the prompts of each retriever, in the order the selector was trained with.
        selector: Scores the prompts.
        max_tokens: Longest of all prompts.
        answer: Answers prompts, for the choice after generation; None for the choice before.
    """

    task: Task
    writers: Sequence[PromptWriter]
    selector: PromptSelector
    max_tokens: int
    answer: Callable[[Sequence[str]], Sequence[str]] | None = None

    def write(self, examples: Sequence[Example]) -> list[str]:
        """Write a batch's prompts."""
        return [prompts[-1] for prompts in self.reads(examples)]

    def prepare(self, examples: Sequence[Example]) -> None:
        """Make what each retriever keeps of the examples' users."""
        for writer in self.writers:
            writer.prepare(examples)

    def reads(self, examples: Sequence[Example]) -> list[list[str]]:
        """Give all prompts that are answered: for the choice after generation each option once, then the chosen one."""
        rows = list(zip(*(writer.write(examples) for writer in self.writers), strict=True))
        queries = [self.task.query_text(example.input) for example in examples]
        places = self.selector.choose(queries, option_texts(rows, self.answer, reads=self.selector.reads))
        return [
            [*(dict.fromkeys(row) if self.answer else ()), row[place]] for row, place in zip(rows, places, strict=True)
        ]

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count what a choice keeps of each user: the texts once, and each retriever's own vectors of them."""
        prompts = [writer for writer in self.writers if isinstance(writer, RetrievalPrompt)]
        if not prompts:
            return np.zeros(len(examples), dtype=np.int64)
        vector_bytes = sum(each.vector_bytes for each in prompts)
        return replace(prompts[0], vector_bytes=vector_bytes).user_bytes(examples)
