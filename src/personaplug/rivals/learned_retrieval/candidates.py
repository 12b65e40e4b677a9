"""A query with what may be chosen for it, whether items for a prompt or retrievers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from personaplug.records import Example, HistoryItem
from personaplug.retrieval.base import Retriever
from personaplug.rivals.learned_retrieval.run import item_words
from personaplug.rivals.learned_retrieval.selector import Reading, option_texts
from personaplug.tasks.task import Task


@dataclass(frozen=True, slots=True)
class CandidateSet:
    """One query, its options, and what the language model would read with each.

    Attributes:
        query: As a task cuts it out of the input.
        options: The texts to choose by.
        prompts: The prompt of each option.
        target: The right answer.
    """

    query: str
    options: tuple[str, ...]
    prompts: tuple[str, ...]
    target: str

    def __post_init__(self) -> None:
        if len(self.options) != len(self.prompts):
            raise ValueError(f"{len(self.options)} options, but {len(self.prompts)} prompts")


def item_candidates(
    example: Example,
    *,
    task: Task,
    retriever: Retriever,
    count: int,
    write: Callable[[Example, Sequence[HistoryItem]], str],
) -> CandidateSet:
    """Let a user's items be chosen for a prompt of one item.

    Args:
        example: A query with its right answer, and the history it may see.
        task: Says how texts are read.
        retriever: The untrained one; its best item is the first option.
        count: Most options.
        write: Writes an example's prompt with some items.
    """
    items = task.searched(example.profile).items
    query = task.retrieval_query(example.input)
    candidates = [items[rank] for rank in retriever.rank(query, items)[:count]]
    return CandidateSet(
        query,
        tuple(item_words(task, item) for item in candidates),
        tuple(write(example, [item]) for item in candidates),
        _target(example),
    )


def retriever_candidates(
    examples: Sequence[Example],
    *,
    task: Task,
    writers: Sequence[Callable[[Sequence[Example]], Sequence[str]]],
    answer: Callable[[Sequence[str]], Sequence[str]] | None,
    reads: Reading = "query",
) -> list[CandidateSet]:
    """Let retrievers be chosen.

    Args:
        examples: Queries with their right answers.
        task: Says how texts are read.
        writers: What each retriever makes of the examples.
        answer: Answers prompts, for the choice after generation; None for the choice before.
        reads: What of them the selector does.
    """
    prompts = list(zip(*(write(examples) for write in writers), strict=True))
    options = option_texts(prompts, answer, reads=reads)
    return [
        CandidateSet(task.query_text(example.input), row, asked, _target(example))
        for example, row, asked in zip(examples, options, prompts, strict=True)
    ]


def _target(example: Example) -> str:
    if example.target is None:
        raise ValueError(f"the right answer to query {example.id!r} is not known")
    return example.target
