"""What the language model reads of an example: the input in the task's words, after retrieved items in a mixed run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from personaplug.backbone.base import Backbone
from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.plug.run import RunConfig
from personaplug.records import Example, HistoryItem
from personaplug.retrieval.base import Retriever
from personaplug.tasks.task import Task
from personaplug.tasks.whole_words import prompt_within


@dataclass(frozen=True, slots=True)
class Prompts:
    """Writes the prompts of a task.

    Attributes:
        task: In whose words.
        max_tokens: Longer prompts are cut at their end.
        items: Puts retrieved items before the input; None for the input alone.
        cut: Cuts a prompt without items where the language model does; words behind the input stay.
    """

    task: Task
    max_tokens: int = 256
    items: RetrievalPrompt | None = None
    cut: Callable[[str], str] = str

    def __call__(self, examples: Sequence[Example]) -> list[str]:
        """Write a batch's prompts."""
        return self.items.write(examples) if self.items else self.plain(examples)

    def plain(self, examples: Sequence[Example]) -> list[str]:
        """Write the prompts without anything of the users."""
        return [prompt_within(self.task, example.input, self.cut) for example in examples]

    def retrieved(self, example: Example) -> Sequence[HistoryItem]:
        """Give the items of an example's history that stand in its prompt, the best first."""
        return self.items.items(example) if self.items else ()


def build_prompts(run: RunConfig, task: Task, *, backbone: Backbone, retriever: Retriever | None) -> Prompts:
    """Settle how a run's prompts are written: beside items the input keeps all the room that it has without them.

    Args:
        run: Says how long inputs, items and answers are.
        task: The run's task.
        backbone: Reads the prompts, behind the run's vectors.
        retriever: Chooses items; None for the input alone.

    Raises:
        ConfigError: The language model has no room for so many items.
    """
    longest = run.training.max_input_tokens
    cut = partial(backbone.cut, max_tokens=longest)
    if retriever is None:
        return Prompts(task, longest, cut=cut)
    positions = backbone.positions(answer_tokens=run.training.max_output_tokens)
    items = RetrievalPrompt.of(
        task,
        retriever,
        backbone=backbone,
        k=run.items.k,
        item_tokens=run.items.item_tokens,
        beside=longest,
        positions=positions if positions is None else positions - run.vectors,
    )
    if run.has_persona and task.retrieval.similarity == "cosine":
        items = replace(items, vector_bytes=0)  # The persona keeps them anyway.
    return Prompts(task, items.max_tokens, items, cut)
