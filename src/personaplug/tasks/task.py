"""A task is data: which columns, which words, which history, which split, which score.

Everything that differs between two tasks stands in a TOML file; no other room knows a task by its name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Literal

from personaplug.config import read_toml
from personaplug.errors import ConfigError
from personaplug.records import HistoryItem, Profile, fill
from personaplug.tasks.retrieval import Retrieval as Retrieval

Kind = Literal["classification", "rating", "generation"]
Split = Literal["train", "dev", "test"]
Metric = Literal["accuracy", "macro-f1", "mae", "rmse", "rouge-1", "rouge-l"]

_METRICS_OF: dict[Kind, tuple[Metric, ...]] = {
    "classification": ("accuracy", "macro-f1"),
    "rating": ("mae", "rmse", "accuracy"),
    "generation": ("rouge-1", "rouge-l"),
}
_OVER_LABELS: tuple[Metric, ...] = ("macro-f1", "mae", "rmse")

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])|\n\s*\n")


@dataclass(frozen=True, slots=True)
class Columns:
    """The log's columns that hold what was asked and what the user answered.

    Attributes:
        input: Column of the text responded to.
        output: Column of the response.
        output_part: ``first-sentence`` makes the task about the beginning of the column alone.
        output_words: Longest output in words; 0 for no limit.
    """

    input: str = "input"
    output: str = "output"
    output_part: Literal["all", "first-sentence"] = "all"
    output_words: int = 0


@dataclass(frozen=True, slots=True)
class QueryRules:
    """Where in the input the text for the query encoder stands (paper, section 3.1).

    Attributes:
        after: The query begins after the first occurrence of this; empty for the start.
        before: The query ends before the last occurrence of this; empty for the end.
    """

    after: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """Which of a user's earlier items a query may see.

    Attributes:
        min_items: A query with fewer earlier items is not an example.
        max_items: Only the latest so many are used.
        embargo_days: Items must be more than this much earlier than the query.
    """

    min_items: int = 1
    max_items: int = 512
    embargo_days: float = 0.0

    def __post_init__(self) -> None:
        if min(self.min_items, self.max_items) < 0 or not self.embargo_days >= 0:
            raise ValueError(
                f"a history of {self.min_items} to {self.max_items} items, {self.embargo_days} days before its query:"
                " an embargo below zero would show it the future"
            )

    @property
    def embargo(self) -> timedelta:
        """The embargo as a duration."""
        return timedelta(days=self.embargo_days)


@dataclass(frozen=True, slots=True)
class Splitting:
    """Which queries are for training, development and test.

    Attributes:
        by: ``user``: by a hash of the user id, 8:1:1. ``hex-user``: the same by the id read as a hexadecimal number,
            modulo 10 (0 test, 1 dev). ``time``: by the two dates. ``latest``: each user's last query is for test, the
            one before for dev. ``column``: the log's own column ``split``; rows marked ``history`` are no queries.
        dev_from: First day of dev, for ``time``.
        test_from: First day of test, for ``time``.
    """

    by: Literal["user", "hex-user", "time", "latest", "column"] = "latest"
    dev_from: date | None = None
    test_from: date | None = None

    def __post_init__(self) -> None:
        if self.by == "time" and (self.dev_from is None or self.test_from is None):
            raise ValueError("a split by time needs dev_from and test_from")


@dataclass(frozen=True, slots=True)
class Task:
    """A personalized task.

    Attributes:
        name: As given to ``--task``.
        description: One sentence.
        kind: What the answer is.
        metrics: The scores of a report, the main one first.
        prompt: What the language model reads, with ``{input}``: a long one is cut at its end, the words around it stay.
        views: The texts of a history item that the encoder reads, with ``{input}`` and ``{output}``. The first is what
            the attention compares with the query; the persona is made of all.
        published_views: In place of the views under the preset ``paper``: the one text of an item that the code
            released with arXiv 2409.11901 encodes. Empty where that is the first view.
        labels: All possible answers of a classification or rating, in order; empty for generation.
        columns: See :class:`Columns`.
        query: See :class:`QueryRules`.
        retrieval: See :class:`Retrieval`.
        history: See :class:`HistoryRules`.
        split: See :class:`Splitting`.
    """

    name: str
    description: str
    kind: Kind
    metrics: tuple[Metric, ...]
    prompt: str = "{input}"
    views: tuple[str, ...] = ("{input}", "{output}")
    published_views: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    columns: Columns = field(default_factory=Columns)
    query: QueryRules = field(default_factory=QueryRules)
    retrieval: Retrieval = field(default_factory=Retrieval)
    history: HistoryRules = field(default_factory=HistoryRules)
    split: Splitting = field(default_factory=Splitting)

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("a task needs at least one metric")
        for metric in self.metrics:
            if metric not in _METRICS_OF[self.kind]:
                known = ", ".join(_METRICS_OF[self.kind])
                raise ValueError(f"{metric} does not measure a {self.kind}; these do: {known}")
            if metric in _OVER_LABELS and not self.labels:
                raise ValueError(f"{metric} is over all labels, and the task names none")
        if not self.views:
            raise ValueError("a task needs at least one view of a history item")
        if "{input}" not in self.prompt:
            raise ValueError(f"the prompt {self.prompt!r} has no {{input}}")

    def as_published(self) -> "Task":
        """Give the task with the views that the plug's released code encodes; itself where it does not say."""
        return replace(self, views=self.published_views) if self.published_views else self

    def as_indexed(self, views: tuple[str, ...]) -> "Task":
        """Give the task in the form that a store of these views was indexed for; itself where it was for neither."""
        return self.as_published() if views == self.published_views else self

    def input_of(self, row: Mapping[str, str]) -> str:
        """Read the input out of a log row that holds the task's input column."""
        return row[self.columns.input]

    def output_of(self, row: Mapping[str, str]) -> str:
        """Read the output out of a log row that holds the task's output column."""
        text = row[self.columns.output]
        if self.columns.output_part == "first-sentence":
            text = " ".join(_SENTENCE_END.split(text.strip(), maxsplit=1)[0].split())
        if self.columns.output_words:
            text = " ".join(text.split()[: self.columns.output_words])
        return text

    def query_text(self, text: str) -> str:
        """Cut the query for the encoder out of an input; the whole input where the marks are missing."""
        start, end = self._query_span(text)
        return text[start:end].strip()

    def as_query(self, text: str, *, like: str) -> str:
        """Write a history item's input as the input ``like`` is written: with the words around the query in it.

        LaMP's questions are wrapped in an instruction, its history items are bare. The text stays as it is where the
        task marks no query, where ``like`` lacks the marks, and where it has them itself.
        """
        marks = [mark for mark in (self.query.after, self.query.before) if mark]
        if not marks or any(mark not in like for mark in marks) or all(mark in text for mark in marks):
            return text
        start, end = self._query_span(like)
        return like[:start] + text + like[end:]

    def _query_span(self, text: str) -> tuple[int, int]:
        start = text.find(self.query.after) + len(self.query.after) if self.query.after in text else 0
        end = text.rfind(self.query.before, start) if self.query.before else -1
        return start, end if end >= 0 else len(text)

    def retrieval_query(self, text: str) -> str:
        """Cut out of an input what items are ranked by: the query for the encoder, where the task says nothing else."""
        found = re.search(self.retrieval.query, text, re.DOTALL) if self.retrieval.query else None
        return " ".join(found.groups("")) if found else self.query_text(text)

    def prompt_text(self, text: str, items: Sequence[HistoryItem] = ()) -> str:
        """Write what the language model reads: the input in the task's words, with the retrieved items if any."""
        return self.with_items(fill(self.prompt, {"input": text}), items)

    def with_items(self, prompt: str, items: Sequence[HistoryItem]) -> str:
        """Put retrieved items into the prompt that an input has without them."""
        written, after = [self.item_text(item) for item in items], self.retrieval.after
        if written and after and after in prompt:
            start, _, rest = prompt.partition(after)
            return self.retrieval.separator.join([start + after, *written]) + rest
        if not written:
            return prompt
        return fill(self.retrieval.prompt, {"items": self.retrieval.separator.join(written), "prompt": prompt})

    def item_text(self, item: HistoryItem) -> str:
        """Write a retrieved item as it stands in a prompt."""
        return fill(self.retrieval.item, _values(item))

    def view_texts(self, item: HistoryItem) -> tuple[str, ...]:
        """Write a history item as the encoder reads it, one text a view."""
        return tuple(fill(view, _values(item)) for view in self.views)

    def search_texts(self, item: HistoryItem) -> tuple[str, ...]:
        """Write a history item as word search reads it: one text of its own, or every view."""
        if self.retrieval.text is None:
            return self.view_texts(item)
        return (fill(self.retrieval.text, _values(item)),)

    def learned_texts(self, item: HistoryItem) -> tuple[str, ...]:
        """Write a history item as learned retrieval reads it: one text of its own, or what word search reads."""
        if self.retrieval.learned_text is None:
            return self.search_texts(item)
        return (fill(self.retrieval.learned_text, {**_values(item), "date": item.time.date().isoformat()}),)

    def searched(self, profile: Profile) -> Profile:
        """Give the part of a history that retrieval ranks."""
        most = self.history.max_items if self.retrieval.max_items is None else self.retrieval.max_items
        return profile if self.retrieval.max_items == 0 else profile.latest(most)

    def first_shown(self, items: int) -> int:
        """Say with which of a query's earlier items, oldest first, begin those that persona or retrieval may see."""
        most = items if self.retrieval.max_items == 0 else self.retrieval.max_items or 0
        return max(0, items - max(self.history.max_items, most))

    def for_persona(self) -> "Task":
        """Give the same task where nothing is retrieved: a query's history holds no more than the persona sees."""
        return replace(self, retrieval=replace(self.retrieval, max_items=None))


def _values(item: HistoryItem) -> dict[str, str]:
    return {"input": item.input, "output": item.output}


def start_of(day: date) -> datetime:
    """Give the first moment of a day, in UTC."""
    return datetime.combine(day, time.min, tzinfo=UTC)


def builtin_tasks() -> tuple[str, ...]:
    """List the names of the tasks that ship with personaplug, sorted."""
    folder = files("personaplug.tasks")
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def load_task(name: str) -> Task:
    """Load a built-in task by its exact name, or a task file by its path (ending in ``.toml``).

    Raises:
        ConfigError: There is no such task, or its file does not fit.
    """
    if name.endswith(".toml"):
        return read_toml(Task, Path(name))
    if name not in builtin_tasks():
        raise ConfigError(
            f"there is no task {name!r}",
            hint=f"built in: {', '.join(builtin_tasks())}; or give the path of a .toml file",
        )
    return read_toml(Task, Path(str(files("personaplug.tasks") / f"{name}.toml")))
