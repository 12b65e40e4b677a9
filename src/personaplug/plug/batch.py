"""Turn examples into what the plug reads: prompts, queries and encoded histories."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from personaplug.embedder.history import History, HistoryBatch
from personaplug.embedder.written import Written
from personaplug.plug.prompts import Prompts
from personaplug.plug.queries import QueryVectors
from personaplug.plug.wordings import Wordings
from personaplug.plug.written_outputs import WrittenOutputs
from personaplug.records import Example, Profile
from personaplug.store.base import VectorSource
from personaplug.tasks.task import Task

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class PlugBatch:
    """Examples ready for the plug.

    Attributes:
        prompts: What the language model reads.
        targets: The right answers; empty where they are not known.
        queries: What a trained query encoder reads.
        query_vectors: What a frozen one made of it; None where the query encoder is trained.
        history: The users' encoded histories.
        written: What the users wrote; None where nothing is copied from it.
    """

    prompts: tuple[str, ...]
    targets: tuple[str, ...]
    queries: tuple[str, ...]
    query_vectors: Float[Tensor, "batch dim"] | None
    history: HistoryBatch
    written: Written | None = None

    def __len__(self) -> int:
        return len(self.prompts)

    def to(self, device: torch.device) -> "PlugBatch":
        """Move the tensors to a device."""
        vectors = None if self.query_vectors is None else self.query_vectors.to(device)
        written = self.written and self.written.to(device)
        return replace(self, query_vectors=vectors, history=self.history.to(device), written=written)


class Batcher:
    """Make batches of a task's examples.

    Args:
        task: Says how inputs become prompts and queries.
        source: Holds the vectors of every item in the examples' histories; None where the prefix reads no history.
        query_vectors: Encodes queries; None where the query encoder is trained and reads texts.
        prompts: What the language model reads of an example; the input alone where not given.
        read: Cuts an input before its query is read out of it; None to leave it whole.
        wordings: Reads how the items' outputs are worded; None where the prefix is not made of that.
        written: Reads what the user wrote, to be copied from; None where nothing is.
    """

    def __init__(
        self,
        task: Task,
        source: VectorSource | None,
        *,
        query_vectors: QueryVectors | None,
        prompts: Prompts | None = None,
        read: Callable[[str], str] | None = None,
        wordings: Wordings | None = None,
        written: WrittenOutputs | None = None,
    ) -> None:
        self.task = task
        self.source = source
        self.query_vectors = query_vectors
        self.prompts = prompts or Prompts(task)
        self.read = read
        self.wordings = wordings
        self.written = written

    def __call__(self, examples: Sequence[Example]) -> PlugBatch:
        """Make one batch of at least one example; persona and retrieval share the vectors of its queries."""
        with self.query_vectors.held() if self.query_vectors else nullcontext():
            return self._batch(examples)

    def _batch(self, examples: Sequence[Example]) -> PlugBatch:
        queries = tuple(self.query(example) for example in examples)
        query_vectors = self.query_vectors(queries) if self.query_vectors else None
        return PlugBatch(
            prompts=tuple(self.prompts(examples)),
            targets=tuple(example.target for example in examples if example.target is not None),
            queries=queries,
            query_vectors=query_vectors,
            history=HistoryBatch.pack([self.history(example) for example in examples]),
            written=self.written([self.seen(example) for example in examples]) if self.written else None,
        )

    def query(self, example: Example) -> str:
        """Read an example's query out of its input."""
        return self.task.query_text(self.read(example.input) if self.read else example.input)

    def history(self, example: Example) -> History:
        """Fetch an example's history: vectors from the source, ages against the example's time."""
        if self.source is None:
            return History(torch.zeros(0, 1, 1), torch.zeros(0))
        profile = self.seen(example)
        vectors = np.array(self.source.vectors(profile), dtype=np.float32)
        seconds = [(example.time - item.time).total_seconds() for item in profile.items]
        ages = torch.tensor(seconds, dtype=torch.float32).clamp(min=0.0) / _DAY
        wording = self.wordings([item.output for item in profile.items]) if self.wordings else None
        return History(torch.from_numpy(vectors), ages, wording)

    def seen(self, example: Example) -> Profile:
        """Give the part of an example's history that the task lets the persona see: the latest items."""
        return example.profile.latest(self.task.history.max_items)
