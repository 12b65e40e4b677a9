"""A recipe: which contenders are measured on which tasks, and how. About twenty lines of TOML."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from personaplug.config import option, read_toml
from personaplug.method_kinds import MethodKind, kind_of


@dataclass(frozen=True, slots=True)
class Source:
    """One task of a recipe and where its log comes from: one of log, sample and lamp."""

    task: str = option("", "a built-in task or a .toml file, as a path from the recipe")
    log: str = option("", "its log, as a path from the recipe")
    sample: int = option(0, "make up a log of so many users, for the sample tasks")
    lamp: str = option("", "a folder of the LaMP benchmark's own files, as a path from the recipe")
    train_queries: int = option(0, "to train with on this task; 0 for as many as the recipe says")
    settings: tuple[str, ...] = option((), "of the runs on this task, over those of the recipe")

    def __post_init__(self) -> None:
        if not self.task:
            raise ValueError("each of the tasks needs a task: its name, or a .toml file")
        if [bool(self.log), bool(self.sample), bool(self.lamp)].count(True) != 1:
            raise ValueError(f"the task {self.task!r} needs one of log, sample and lamp")
        if min(self.sample, self.train_queries) < 0:
            raise ValueError(f"a sample of {self.sample} users and {self.train_queries} training queries")


@dataclass(frozen=True, slots=True)
class Contender:
    """A method with settings of its own, such as an ablation."""

    method: str = option("", "as given to evaluate --method")
    label: str = option("", "its name in tables; the method's where there is none")
    settings: tuple[str, ...] = option((), "of its run, over those of the task")
    k: tuple[int, ...] = option((), "retrieved items to try for it; the recipe's where there are none")

    def __post_init__(self) -> None:
        if not self.method:
            raise ValueError("each of the variants needs a method")
        if self.k:
            _check_numbers(self.k)

    @property
    def name(self) -> str:
        """The name in tables."""
        return self.label or self.method

    @property
    def kind(self) -> MethodKind:
        """What its method is made of.

        Raises:
            ConfigError: There is no such method.
        """
        return kind_of(self.method)


@dataclass(frozen=True, slots=True)
class Decoding:
    """How answers are decoded: never by chance, so that what is not trained needs no seeds."""

    strategy: Literal["greedy", "beam"] = option("greedy", "greedy, or beam search")
    beams: int = option(4, "for beam search")
    max_new_tokens: int = option(48, "longest answer")

    def __post_init__(self) -> None:
        if min(self.beams, self.max_new_tokens) < 1:
            raise ValueError(f"beams {self.beams} and max_new_tokens {self.max_new_tokens} must be at least 1")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is measured."""

    tasks: tuple[Source, ...]
    methods: tuple[str, ...] = option((), "as given to evaluate --method")
    variants: tuple[Contender, ...] = ()
    seeds: tuple[int, ...] = option((0,), "of what is trained; the rest is measured once")
    preset: Literal["default", "paper"] = option("default", "whose settings the runs begin with")
    backbone: str = option("", "the frozen language model of all methods; the preset's where there is none")
    encoder: str = option("", "the frozen encoder, as given to index; the preset's where there is none")
    settings: tuple[str, ...] = option((), "of plug and tuned prompt, as given to train --set")
    train_queries: int = option(0, "to train with, drawn with the seed of training; 0 for all")
    dev_queries: int = option(500, "to choose weights and k by")
    test_queries: int = option(0, "to measure, the same for all methods and seeds; 0 for all")
    split: Literal["dev", "test"] = option("test", "of the queries to measure")
    draw: int = option(0, "seed of the draw of the queries to measure, of strangers and intervals")
    k: tuple[int, ...] = option((1, 2, 4), "retrieved items to try on dev; the best goes on")
    strangers: bool = option(True, "measure plugs and adapters with strangers' histories too")
    batch_size: int = option(32, "queries asked at once")
    decoding: Decoding | None = option(None, "the preset's, and that of a task's settings, where there is none")  # noqa: RUF009 (None)
    published: str = option("", "scores to stand beside the measured ones: a .toml file, as a path from the recipe")

    def __post_init__(self) -> None:
        if not self.tasks or not self.contenders:
            raise ValueError("there must be at least one of the tasks and one of methods or variants")
        _check_different("a seed", self.seeds)
        _check_numbers(self.k)
        _check_different("a method or label", [contender.name for contender in self.contenders])
        _check_different("a folder for a method", [slug(contender.name) for contender in self.contenders])
        if min(self.seeds) < 0:
            raise ValueError(f"seeds {list(self.seeds)} must be 0 or more")
        if min(self.train_queries, self.test_queries) < 0 or min(self.dev_queries, self.batch_size) < 1:
            raise ValueError("train_queries and test_queries must be 0 or more, dev_queries and batch_size 1 or more")

    @property
    def chooses_on_measured(self) -> bool:
        """Whether k is chosen by the very queries that are measured, so that nothing is measured twice."""
        return self.split == "dev" and self.dev_queries == self.test_queries

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """The methods, then the variants."""
        return (*(Contender(method) for method in self.methods), *self.variants)

    def numbers(self, contender: Contender) -> tuple[int, ...]:
        """Say how many retrieved items are tried for a contender."""
        return contender.k or self.k


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ConfigError: There is none, or it does not fit.
    """
    return read_toml(Recipe, path)


def slug(name: str) -> str:
    """Make the name of a folder of a name in tables."""
    return re.sub(r"[^\w+.-]+", "-", name).strip("-.") or "-"


def _check_numbers(k: Sequence[int]) -> None:
    _check_different("a k", k)
    if min(k) < 1:
        raise ValueError(f"k {list(k)} must be 1 or more")


def _check_different(what: str, names: Sequence[object]) -> None:
    if not names:
        raise ValueError(f"there must be at least one of {what.removeprefix('a ')}s")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{what} must not stand twice: {name!r}")
