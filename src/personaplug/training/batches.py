"""The order in which training sees its examples, the same for the same seed, after a crash too."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset, Sampler

from personaplug.plug.model import PersonaPlug
from personaplug.records import Example
from personaplug.training.augment import drop_history, without_history
from personaplug.training.processes import ALONE, Processes

_BATCHES_A_POOL = 50
_BLOCK = 1024  # examples tokenized together: a tokenizer keeps far more of a text than its ids until all are read


@dataclass(frozen=True, slots=True)
class Share:
    """What one process reads of a batch.

    Attributes:
        examples: At least one.
        counts: Whether they count; False where a batch has fewer examples than there are processes, and this one reads
            an example of another's to keep in step with it.
    """

    examples: tuple[Example, ...]
    counts: bool = True


class TrainingSet(Dataset[Example]):
    """Examples by draw: draw ``d`` is example ``d % len(examples)`` in epoch ``d // len(examples)``.

    Args:
        examples: The task's training examples.
        seed: Of the history dropout, which differs from epoch to epoch.
        drops_history: Whether a draw sees only a random part of its history.
        without: Share of the draws that see none of it.
        processes: Among whom a batch is shared.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        seed: int,
        drops_history: bool,
        without: float = 0.0,
        processes: Processes = ALONE,
    ) -> None:
        self.examples = examples
        self.seed = seed
        self.drops_history = drops_history
        self.without = without
        self.processes = processes

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, draw: int) -> Example:
        example = self.examples[draw % len(self.examples)]
        seed = f"{self.seed}/{draw}"
        seen = drop_history(example, seed=seed) if self.drops_history else example
        return without_history(seen, share=self.without, seed=seed)

    def __getitems__(self, draws: Sequence[int]) -> Share:
        """Give this process's share of a batch; a loader asks for a whole batch at a time."""
        own = self.processes.share(draws)
        return Share(tuple(self[draw] for draw in own or draws[:1]), counts=bool(own))


class LengthGroupedSampler(Sampler[int]):
    """Visits in a random order in which a batch holds examples of similar length, so that little of it is padding.

    Args:
        lengths: Of each example, in any unit; :func:`count_tokens` gives the one that batches are padded in.
        batch_size: Of the batches that the order will be cut into.
        seed: Of the order, which differs from epoch to epoch.
    """

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws come next; the trainer calls this, also when it resumes."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        draw = np.random.default_rng([self.seed, self.epoch])
        order = draw.permutation(len(self))
        pool = self.batch_size * _BATCHES_A_POOL
        pools = (order[start : start + pool] for start in range(0, len(order), pool))
        batches = [batch for pool in pools for batch in self._cut(pool[np.argsort(-self.lengths[pool], kind="stable")])]
        # The one incomplete batch, if any, stays last: a short batch elsewhere would shift all that follow.
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) != self.batch_size]
        shuffled = [whole[at] for at in draw.permutation(len(whole))] + rest
        yield from (self.epoch * len(self) + int(index) for batch in shuffled for index in batch)

    def _cut(self, pool: np.ndarray) -> list[np.ndarray]:
        return [pool[start : start + self.batch_size] for start in range(0, len(pool), self.batch_size)]


def count_tokens(plug: PersonaPlug, examples: Sequence[Example], *, processes: Processes = ALONE) -> list[int]:
    """Count what the plug's language model reads and writes of each example, retrieved items and persona aside."""
    starts = range(0, len(examples), _BLOCK)
    counted = processes.together(starts, lambda start: _count_tokens(plug, examples[start : start + _BLOCK]))
    return [count for block in counted for count in block]


def _count_tokens(plug: PersonaPlug, examples: Sequence[Example]) -> list[int]:
    backbone, config = plug.backbone, plug.run.training
    targets = [example.target or "" for example in examples]
    inputs = backbone.count_input_tokens(plug.prompts.plain(examples), max_tokens=config.max_input_tokens)
    answers = backbone.count_answer_tokens(targets, max_tokens=config.max_output_tokens)
    return [own + answer for own, answer in zip(inputs, answers, strict=True)]
