"""Training steps of a real language model in float32, as where a processor has no bfloat16, beside PEFT's."""

from collections.abc import Iterator

from benchmarks.speed import real_model
from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row


def measure(effort: Effort) -> Iterator[Row]:
    """Measure what ``real-model`` does."""
    yield from real_model.measure(effort, "float32")
