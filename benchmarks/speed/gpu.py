"""On a GPU: a training step on a language model of a billion random weights, against the best that the card can do."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.answering import AT_LEAST, BATCHES, LLAMA_1B, TOY, Answering, answering_rows, random_llama
from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row
from benchmarks.speed.training import Course, batches_of, our_steps
from benchmarks.speed.turns import timed
from benchmarks.speed.world import World, open_world
from personaplug.plug.model import PersonaPlug
from personaplug.plug.query_source import QuerySource

log = logging.getLogger(__name__)

TURNS, STEPS = 10, 8
READINGS = 2
"""A step reads the frozen weights forward and backward."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the card does at best, measured here.

    Attributes:
        flops: Floating-point operations a second, in a large matrix product in bfloat16.
        bandwidth: Bytes a second, read and written, in a large copy.
    """

    flops: float
    bandwidth: float

    def seconds(self, *, flops: float, read: float) -> float:
        """Give the least time for so many operations on so many bytes: the roofline."""
        return max(flops / self.flops, read / self.bandwidth)


def measure(effort: Effort) -> Iterator[Row]:
    """Measure training in batches of 8 and 32, then answers; nothing without a GPU, but for a quick try."""
    if not (torch.cuda.is_available() or effort.is_quick):
        log.info("no GPU here: nothing is measured on one")
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with open_world("train", queries=8 if effort.is_quick else 400, is_quick=effort.is_quick, device=device) as world:
        plug = _plug(world, device=device, is_quick=effort.is_quick)
        ceiling = _ceiling(device, size=256 if effort.is_quick else 8192)
        for size in (2,) if effort.is_quick else (8, 32):
            yield _training(world, plug, course=Course(size, 1 if effort.is_quick else STEPS), ceiling=ceiling)
    with open_world("dev", queries=4 if effort.is_quick else 32, is_quick=effort.is_quick, device=device) as world:
        plug = _plug(world, device=device, is_quick=effort.is_quick).eval()
        for size in BATCHES:
            if size <= len(world.examples):
                asked = world.examples[: max(size, AT_LEAST)]
                for row in answering_rows(
                    world, Answering(f"random Llama on {_card()}", plug, asked, size, effort.pairs)
                ):
                    yield replace(row, name=f"gpu/{row.name}")


def _plug(world: World, *, device: str, is_quick: bool) -> PersonaPlug:
    backbone = random_llama(TOY if is_quick else LLAMA_1B, device=device, dtype=torch.bfloat16)
    return world.plug_on(backbone, like=world.plug(query_source=QuerySource.STORE, device=device))


def _training(world: World, plug: PersonaPlug, *, course: Course, ceiling: Ceiling) -> Row:
    batches = batches_of(plug, world.examples, size=course.batch)
    counted, work = (_whole(our_steps(plug, batches, course=course)) for _ in range(2))  # the same steps
    with FlopCounterMode(display=False) as counter:
        for _ in range(TURNS):
            counted()
    turns = sorted(timed(work).wall / course.steps for _ in range(TURNS))
    seconds = median(turns)
    flops = counter.get_total_flops() / TURNS / course.steps
    weights = list(plug.backbone.model.parameters())
    read = READINGS * sum(weight.numel() * weight.element_size() for weight in weights)
    details = {
        "examples_per_second": course.batch / seconds,
        "our_seconds": seconds,
        "our_least_seconds": turns[0],
        "our_most_seconds": turns[-1],
        "teraflops_a_step": flops / 1e12,
        "teraflops_a_second": flops / seconds / 1e12,
        "ceiling_teraflops_a_second": ceiling.flops / 1e12,
        "ceiling_terabytes_a_second": ceiling.bandwidth / 1e12,
    }
    millions = sum(weight.numel() for weight in weights) / 1e6
    words = f"{world.log.name}, random Llama of {millions:,.0f} M weights in bfloat16, {course.steps} steps a turn"
    name = f"gpu/a training step on {_card()}, batch {course.batch}"
    return Row(name, words, ceiling.seconds(flops=flops, read=read) / seconds, "of the roofline", None, details)


def _ceiling(device: str, *, size: int) -> Ceiling:
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = torch.empty_like(left)
    source = torch.randn(16 * size, size, device=device)
    target = torch.empty_like(source)
    multiplied = _best(lambda: torch.matmul(left, right, out=product))
    copied = _best(lambda: target.copy_(source))
    return Ceiling(2 * size**3 / multiplied, 2 * source.numel() * source.element_size() / copied)


def _best(work: Callable[[], object], *, times: int = 10) -> float:
    """Give the seconds of one of several done in a row, at the best of ten."""

    def several() -> None:
        for _ in range(times):
            work()

    several()
    return min(timed(_whole(several)).wall for _ in range(10)) / times


def _whole(work: Callable[[], object]) -> Callable[[], None]:
    """Let work end when the card has done it."""

    def done() -> None:
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return done


def _card() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
