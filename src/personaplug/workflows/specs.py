"""What is measured, in the words of a command: which method, and which queries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from personaplug.models.catalog import DEFAULT
from personaplug.plug.query_source import QuerySource
from personaplug.store.address import Address

if TYPE_CHECKING:
    from personaplug.tasks.task import Split


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """A contender by name, and what it is built from.

    Attributes:
        name: As given to ``--method``.
        run: Folder of what was trained.
        store: The index of the log; None for the run's own.
        backbone: The language model, where there is no run.
        encoder: As given to ``index``, where neither run nor store tells.
        k: Items in a prompt; None for the method's own number.
        profiles: Where ``text-profile`` keeps what it writes; None for beside the report.
        query_source: Where the vectors of queries come from.
        decoding: Fields of a :class:`personaplug.backbone.base.GenerationConfig`; those that are None or missing are
            the run's.
    """

    name: str
    query_source: QuerySource
    run: Path | None = None
    store: Address | None = None
    backbone: str = DEFAULT
    encoder: str | None = None
    k: int | None = None
    profiles: Path | None = None
    decoding: Mapping[str, float | str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuerySpec:
    """Which queries of a log, and with whose histories.

    Attributes:
        split: Of which split.
        stranger: Give each another user's history.
        limit: So many, drawn with the seed; None for all.
        seed: Of the draw, the strangers, sampled answers and intervals.
        batch_size: Asked at once.
    """

    split: "Split" = "test"
    stranger: bool = False
    limit: int | None = None
    seed: int = 0
    batch_size: int = 32
