"""Training steps of a real language model, beside PEFT's."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from peft import LoraConfig, PeftConfig, PromptTuningConfig

from benchmarks.speed.adapters import language_model
from benchmarks.speed.effort import Effort
from benchmarks.speed.peft_steps import peft_steps
from benchmarks.speed.row import Row, Target
from benchmarks.speed.training import Course, batches_of, our_steps
from benchmarks.speed.turns import Turns, in_turn
from benchmarks.speed.world import NO_ADAPTER, World, open_world
from personaplug.backbone.base import Backbone
from personaplug.backbone.device import start_torch
from personaplug.backbone.precision import Precision, for_steps
from personaplug.embedder.embedder_config import EmbedderConfig
from personaplug.embedder.encoder import has_native_bfloat16
from personaplug.plug.model import PersonaPlug, build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import RunConfig, TrainingConfig
from personaplug.training.inputs_once import read_inputs

INPUT_TOKENS, ANSWER_TOKENS = 96, 32
LIMITS = {"max_input_tokens": INPUT_TOKENS, "max_output_tokens": ANSWER_TOKENS}
EMBEDDER = EmbedderConfig(made_of="outputs", place="after", instructions=8)
"""A persona beside PEFT's prompt tuning: 14 vectors right before the answer, and no adapter, as that has none."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Our side and the model that both sides share.

    Attributes:
        world: Queries and their store.
        name: The language model's.
        plug: Untrained.
        course: What a turn of training is.
        precision: Of our steps; PEFT's are in float32.
    """

    world: World
    name: str
    plug: PersonaPlug
    course: Course
    precision: Precision = "auto"

    @property
    def words(self) -> str:
        """Say what is measured on."""
        millions = sum(weight.numel() for weight in self.plug.backbone.model.parameters()) / 1e6
        sizes = f"inputs of {INPUT_TOKENS} tokens, answers of {ANSWER_TOKENS}"
        return f"{self.world.log.name}, {self.name} of {millions:.0f} M weights, {sizes}"


@dataclass(frozen=True, slots=True)
class Opponent:
    """How PEFT trains, and what ours is to reach beside it.

    Attributes:
        title: Of our step beside it.
        config: PEFT's.
        at_least: Times as fast, on new inputs and on kept ones; None where nothing is promised.
    """

    title: str
    config: PeftConfig
    at_least: tuple[float, float] | None = None


def measure(effort: Effort, precision: Precision = "auto") -> Iterator[Row]:
    """Measure the vectors alone and the default beside PEFT's prompt tuning, and the default beside PEFT's LoRA."""
    with staged(effort) as stage:
        default = replace(stage, precision=precision)
        vectors = _vectors_alone(default)
        beside_vectors = Opponent("a training step against PEFT's prompt tuning", *_prompt_tuning(vectors))
        beside_default = Opponent("the default's training step against PEFT's prompt tuning", *_prompt_tuning(default))
        yield from _training(vectors, beside_vectors, pairs=effort.pairs)
        yield from _training(default, beside_default, pairs=effort.pairs)
        yield from _training(default, _lora(default.plug), pairs=effort.pairs)


@contextmanager
def staged(effort: Effort) -> Iterator[Stage]:
    """Set up the default plug on the real model; freed memory is kept for both sides, as every command of ours does."""
    start_torch()
    course = Course(2, 1) if effort.is_quick else Course(8, 4)
    with open_world("train", queries=4 if effort.is_quick else 64, is_quick=effort.is_quick) as world:
        name, backbone = language_model(is_quick=effort.is_quick)
        run = RunConfig(task=world.log.task.name, training=TrainingConfig(**LIMITS))
        yield Stage(world, name, _plug(world, run, backbone), course)


def _vectors_alone(stage: Stage) -> Stage:
    run = replace(stage.plug.run, embedder=EMBEDDER, adapter=NO_ADAPTER)
    return replace(stage, plug=_plug(stage.world, run, stage.plug.backbone))


def _plug(world: World, run: RunConfig, backbone: Backbone) -> PersonaPlug:
    return build_plug(run, world.log.task, store=world.store, query_source=QuerySource.STORE, backbone=backbone)


def _prompt_tuning(stage: Stage) -> tuple[PeftConfig, tuple[float, float]]:
    """Tune as many vectors as a plug has, and say what is to be reached beside that."""
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=stage.plug.run.vectors)
    is_half = stage.precision != "float32" and has_native_bfloat16(stage.plug.backbone.device)
    return config, (2.5, 4.0) if is_half else (1.7, 2.9)


def _lora(plug: PersonaPlug) -> Opponent:
    """Train an adapter as large, in the same places: the opponent of the default, which makes a persona beside it."""
    adapter = plug.adapter
    assert adapter is not None
    shape = {"r": adapter.config.rank, "lora_alpha": adapter.config.alpha, "target_modules": list(adapter.names)}
    return Opponent("the default's training step against PEFT's LoRA", LoraConfig(task_type="CAUSAL_LM", **shape))


def _training(stage: Stage, opponent: Opponent, *, pairs: int) -> Iterator[Row]:
    """Measure steps on inputs seen for the first time, then on the same ones, kept."""
    plug, own = stage.plug, stage.plug.backbone
    batches = batches_of(plug, stage.world.examples, size=stage.course.batch)
    new, kept = opponent.at_least or (None, None)
    with TemporaryDirectory() as folder:
        examples, path = stage.world.examples, Path(folder)
        theirs = peft_steps(plug, examples, opponent.config, course=stage.course, folder=path).train
        plug.backbone = copy(for_steps(own, stage.precision, place="after"))  # its inputs are these steps' alone
        ours = our_steps(plug, batches, course=stage.course)
        yield _row(f"{opponent.title}, first visit", stage, in_turn(ours, theirs, pairs=pairs), at_least=new)
        read_inputs(plug, examples, through=plug.backbone)
        row = _row(f"{opponent.title}, input kept", stage, in_turn(ours, theirs, pairs=pairs), at_least=kept)
        assert plug.backbone.kept is not None
        yield replace(row, details=row.details | {"inputs_found": plug.backbone.kept.found})
    plug.backbone = own


def _row(name: str, stage: Stage, turns: Turns, *, at_least: float | None) -> Row:
    steps, batch = stage.course.steps, stage.course.batch
    precision = str(stage.plug.backbone.dtype).removeprefix("torch.")
    vectors = stage.plug.run.vectors
    words = f"{stage.words}, {vectors} vectors, batches of {batch}, our steps in {precision}"
    target = None if at_least is None else Target("at least", at_least)
    prefix = "real model, float32" if stage.precision == "float32" else "real model"
    return Row(f"{prefix}: {name}", words, median(turns.ratios), "x", target, turns.details(per=steps))
