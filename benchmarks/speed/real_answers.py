"""Answers of a real language model with a persona, beside the bare model's and those with items in the prompt."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.speed.answering import Answering, answering_rows
from benchmarks.speed.effort import Effort
from benchmarks.speed.real_model import ANSWER_TOKENS, staged
from benchmarks.speed.row import Row

BATCHES = (1, 8, 32)
_ANSWERS = 64
"""Of each side: an answer takes half a second, and batches of 32 have fewer turns."""


def measure(effort: Effort) -> Iterator[Row]:
    """Measure the default plug, in batches of 1, 8 and 32."""
    with staged(effort) as stage:
        plug = stage.plug.eval()
        for size in BATCHES[:1] if effort.is_quick else BATCHES:
            pairs = min(effort.pairs, max(2, _ANSWERS // size))
            answering = Answering(stage.name, plug, stage.world.examples[: max(size, 2)], size, pairs, ANSWER_TOKENS)
            yield from (replace(row, name=f"real model: {row.name}") for row in answering_rows(stage.world, answering))
