"""What each method is: a row a method, and the one place where a method's name says anything.

Everybody else asks the row. Without torch, so that a command can list the names in its help.
"""

from dataclasses import dataclass
from typing import Literal

from personaplug.errors import ConfigError

Prefixed = Literal[
    "plug", "plug+bm25", "plug+dense",
    "tuned-prompt", "tuned-prompt+bm25", "tuned-prompt+dense",
    "tuned-lora", "tuned-lora+bm25", "tuned-lora+dense",
]  # fmt: skip
Retrieval = Literal["recency", "random", "bm25", "dense"]
LearnedRetrieval = Literal["ropg-kd", "ropg-rl", "rspg-pre", "rspg-post"]
AdapterItems = Literal["bm25", "recency", "random"]
Learnt = Literal["prefix", "ranker", "selector", "adapters"]
ItemChooser = Literal["recency", "random", "bm25", "dense", "ranker", "selector"]


@dataclass(frozen=True, slots=True)
class MethodKind:
    """What a method is made of.

    Attributes:
        name: As recipes and reports know it.
        learns: What is trained in a run of its own: what stands beside the input, the same function for all users; a
            ranker of items, a selector of ranked items, or adapters; None where nothing is.
        has_persona: Whether the vectors beside the input are made of the user's history.
        reads_vectors: Whether it needs the vectors of the user's items, from a store.
        items: What chooses the items that stand in the prompt as text; None where there are none.
        is_shared_adapter: Whether no vectors stand beside the input, but one adapter of all users beside the model.
        is_per_user: Whether each user has a trained part.
        is_described: Whether a written description of the user stands in the prompt.
        by_policy: Whether it learns from options that it draws, rather than from all of them.
        reads_answers: Whether a choice reads what each prompt was answered with, too.
    """

    name: str
    learns: Learnt | None = None
    has_persona: bool = False
    reads_vectors: bool = False
    items: ItemChooser | None = None
    is_shared_adapter: bool = False
    is_per_user: bool = False
    is_described: bool = False
    by_policy: bool = False
    reads_answers: bool = False

    @property
    def command(self) -> str:
        """The method as commands know it: what chooses an adapter's items stands in its run, not in its name."""
        return "user-lora" if self.learns == "adapters" else self.name

    @property
    def is_retrieval(self) -> bool:
        """Whether retrieved items in the prompt are all that it has: the best of these is what others must beat."""
        return self.items is not None and self.learns in (None, "ranker", "selector")

    @property
    def is_learned_retrieval(self) -> bool:
        """Whether a trained retriever, or a trained choice between retrievers, chooses its items."""
        return self.learns in ("ranker", "selector")

    @property
    def is_trained_for_k(self) -> bool:
        """Whether it has a run for each number of items; a ranker learns from prompts of one item each."""
        return self.items is not None and self.learns in ("prefix", "selector", "adapters")

    @property
    def shows_items(self) -> bool:
        """Whether the language model reads a user's items as text, in the prompt or to describe the user."""
        return self.items is not None or self.is_described

    @property
    def meets_strangers(self) -> bool:
        """Whether it is measured with strangers' histories too: whatever reads a history, as vectors or as text."""
        return self.has_persona or self.is_per_user or self.shows_items


METHOD_KINDS = {
    kind.name: kind
    for kind in (
        MethodKind("plain"),
        MethodKind("plug", "prefix", has_persona=True, reads_vectors=True),
        MethodKind("plug+bm25", "prefix", has_persona=True, reads_vectors=True, items="bm25"),
        MethodKind("plug+dense", "prefix", has_persona=True, reads_vectors=True, items="dense"),
        MethodKind("tuned-prompt", "prefix"),
        MethodKind("tuned-prompt+bm25", "prefix", items="bm25"),
        MethodKind("tuned-prompt+dense", "prefix", reads_vectors=True, items="dense"),
        MethodKind("tuned-lora", "prefix", is_shared_adapter=True),
        MethodKind("tuned-lora+bm25", "prefix", is_shared_adapter=True, items="bm25"),
        MethodKind("tuned-lora+dense", "prefix", is_shared_adapter=True, reads_vectors=True, items="dense"),
        MethodKind("recency", items="recency"),
        MethodKind("random", items="random"),
        MethodKind("bm25", items="bm25"),
        MethodKind("dense", reads_vectors=True, items="dense"),
        MethodKind("ropg-kd", "ranker", reads_vectors=True, items="ranker"),
        MethodKind("ropg-rl", "ranker", reads_vectors=True, items="ranker", by_policy=True),
        MethodKind("rspg-pre", "selector", reads_vectors=True, items="selector"),
        MethodKind("rspg-post", "selector", reads_vectors=True, items="selector", reads_answers=True),
        MethodKind("user-lora", "adapters", is_per_user=True),
        MethodKind("text-profile", is_described=True),
        MethodKind("user-lora+bm25", "adapters", is_per_user=True, items="bm25"),
        MethodKind("user-lora+recency", "adapters", is_per_user=True, items="recency"),
        MethodKind("user-lora+random", "adapters", is_per_user=True, items="random"),
    )
}
"""By name. The last three are recipes' names alone: to a command they are ``user-lora``."""

METHODS = tuple(dict.fromkeys(kind.command for kind in METHOD_KINDS.values()))
"""The names that commands know."""

RUNS = tuple(kind.name for kind in METHOD_KINDS.values() if kind.learns and kind.name in METHODS)
"""Those of them that have runs."""

CONTROLS = ("tuned-lora", "tuned-prompt", "plain")
"""What others are compared with: the first of these that was measured. None has a user in it."""


def kind_of(name: str) -> MethodKind:
    """Look a method up by its exact name.

    Raises:
        ConfigError: There is no such method.
    """
    return _found(name, tuple(METHOD_KINDS))


def check_command(name: str) -> MethodKind:
    """Look up a method that commands know: of ``user-lora+bm25`` its run says what chooses its items.

    Raises:
        ConfigError: There is no such method.
    """
    return _found(name, METHODS)


def kind_in_label(label: str) -> str:
    """Find the method of a label such as ``plug+bm25, k=2``; empty where it names none of ours."""
    name = label.partition(",")[0]
    return name if name in METHOD_KINDS else ""


def _found(name: str, names: tuple[str, ...]) -> MethodKind:
    if name not in names:
        raise ConfigError(f"there is no method {name!r}", hint=f"methods: {', '.join(names)}")
    return METHOD_KINDS[name]
