"""Examples per second in training, against the published procedure on the very same batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import median

import torch
from jaxtyping import Int
from torch import Tensor, nn

from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row, Target
from benchmarks.speed.turns import in_turn
from benchmarks.speed.world import World, forget_queries, open_world, paper_plug
from personaplug.plug.model import PersonaPlug
from personaplug.plug.query_source import QuerySource
from personaplug.records import Example
from personaplug.training.augment import drop_history
from personaplug.training.batches import LengthGroupedSampler, count_tokens


@dataclass(frozen=True, slots=True)
class Course:
    """How many examples a step sees, and how many steps a turn has."""

    batch: int = 8
    steps: int = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples, and their rows in the published table."""

    examples: tuple[Example, ...]
    questions: Int[Tensor, " batch"]


def measure(effort: Effort) -> Iterator[Row]:
    """Measure our default and our form of the paper, each in turn with the published procedure."""
    course = Course(2, 1) if effort.is_quick else Course()
    with open_world("train", queries=4 if effort.is_quick else 400, is_quick=effort.is_quick) as world:
        plugs = {
            "a training step": world.plug(query_source=QuerySource.STORE),
            "a training step, preset paper": paper_plug(world),
        }
        for name, plug in plugs.items():
            yield _row(name, world, plug=plug, course=course, pairs=effort.pairs)


def _row(name: str, world: World, *, plug: PersonaPlug, course: Course, pairs: int) -> Row:
    """Let every query be new in every turn: found in the store, which holds this log's, or (a detail) encoded."""
    batches = batches_of(plug, world.examples, size=course.batch)
    published = world.published(paper_plug(world), world.examples)
    theirs = _published_steps(published, batches, course=course)
    turns = in_turn(our_steps(plug, batches, course=course), theirs, pairs=pairs)
    done = course.steps * course.batch
    details = turns.details(per=course.steps) | {
        "our_examples_per_second": done / median(turns.ours),
        "their_examples_per_second": done / median(turns.theirs),
    }
    if plug.query_vectors is not None:
        encoding = our_steps(world.plug(plug.run.embedder, query_source=QuerySource.ENCODER), batches, course=course)
        details["ratio_where_the_store_holds_no_query"] = median(in_turn(encoding, theirs, pairs=pairs).ratios)
    words = f"{world.log.name}, random T5, batches of {course.batch}, {course.steps} steps a turn"
    return Row(name, words, median(turns.ratios), "x", Target("at least", 3.0), details)


def our_steps(plug: PersonaPlug, batches: Sequence[Batch], *, course: Course) -> Callable[[], object]:
    """Make a turn of our steps, each on the next batch with part of its history, whose queries it has not met."""
    draws = (
        [drop_history(example, seed=example.id) for example in batch.examples] for batch in cycle(batches)
    )  # fmt: skip
    steps = _steps(plug, lambda: plug.loss(plug.batcher(next(draws))), course=course)

    def work() -> None:
        forget_queries(plug)
        steps()

    return work


def _published_steps(plug: nn.Module, batches: Sequence[Batch], *, course: Course) -> Callable[[], object]:
    draws: Iterator[Batch] = cycle(batches)

    def loss() -> Tensor:
        batch = next(draws)
        result: Tensor = plug.loss(batch.examples, batch.questions)  # type: ignore[operator]
        return result

    return _steps(plug, loss, course=course)


def _steps(module: nn.Module, loss: Callable[[], Tensor], *, course: Course) -> Callable[[], object]:
    weights = [weight for weight in module.train().parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, fused=True)

    def work() -> None:
        for _ in range(course.steps):
            optimizer.zero_grad()
            loss().backward()
            nn.utils.clip_grad_norm_(weights, max_norm=1.0)
            optimizer.step()

    return work


def batches_of(plug: PersonaPlug, examples: Sequence[Example], *, size: int) -> list[Batch]:
    """Cut the epoch as our trainer does: both sides see batches of similar inputs."""
    order = list(LengthGroupedSampler(count_tokens(plug, examples), batch_size=size, seed=0))
    groups = [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
    return [Batch(tuple(examples[place] for place in group), torch.tensor(group)) for group in groups]
