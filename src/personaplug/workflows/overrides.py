"""What a person says of a run beside its file or preset: one class a kind of run; None where nothing is said.

Without torch, so that a command knows its options before anything is loaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from personaplug.method_kinds import LearnedRetrieval, MethodKind, Prefixed

if TYPE_CHECKING:
    from personaplug.tasks.task import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What every kind of run has.

    Attributes:
        task: A built-in task or a .toml file.
        backbone: The language model.
        k: Items in a prompt.
        queries: So many of the queries, drawn with the seed; 0 for all.
        epochs: Passes over the queries, or over each user's history.
        batch_size: Queries, or a user's items, a step.
        max_input_tokens: Longer inputs are cut at their end.
        max_output_tokens: Longer answers are cut.
        seed: Of everything random.
    """

    task: str | None = None
    backbone: str | None = None
    k: int | None = None
    queries: int | None = None
    epochs: float | None = None
    batch_size: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugOverrides(Overrides):
    """What a plug or tuned prompt has beside.

    Attributes:
        method: Which of them.
        encoder: Its name, as given to ``index``.
    """

    method: Prefixed | None = None
    encoder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalOverrides(Overrides):
    """What learned retrieval has beside.

    Attributes:
        method: Which retriever or choice.
        encoder: Its name, as given to ``index``.
        score: What is learned from.
        ropg: Runs of trained retrievers to choose from.
        dev_queries: Of the choice of the best pass.
        item_tokens: Longest item.
        max_new_tokens: Longest answer that is learned from.
    """

    method: LearnedRetrieval | None = None
    encoder: str | None = None
    score: Literal["likelihood", "metric"] | None = None
    ropg: tuple[Path, ...] = ()
    dev_queries: int | None = None
    item_tokens: int | None = None
    max_new_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLoraOverrides(Overrides):
    """What one adapter a user has beside.

    Attributes:
        split: Whose users get one.
        history: Make it of the user's own, or of another user's, as a control.
    """

    split: "Split | None" = None
    history: Literal["own", "stranger"] | None = None


def overrides_for(kind: MethodKind) -> type[Overrides]:
    """Name the class for a method that is trained."""
    if kind.learns == "adapters":
        return UserLoraOverrides
    return RetrievalOverrides if kind.is_learned_retrieval else PlugOverrides
