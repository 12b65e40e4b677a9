"""The real language model: training steps beside PEFT's prompt tuning, answers beside the bare model's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from peft import PromptTuningConfig, get_peft_model
from torch.utils.data import Dataset
from transformers import DataCollatorForSeq2Seq, PrinterCallback, Trainer, TrainingArguments

from benchmarks.speed import adapters
from benchmarks.speed.adapters import language_model
from benchmarks.speed.answering import Answering, answering_rows
from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row, Target
from benchmarks.speed.training import Course, batches_of, our_steps
from benchmarks.speed.turns import Turns, in_turn
from benchmarks.speed.world import NO_ADAPTER, World, open_world
from personaplug.backbone.base import Backbone
from personaplug.backbone.device import start_torch
from personaplug.backbone.kept_inputs import KeptInputs
from personaplug.backbone.precision import for_steps
from personaplug.embedder.encoder import has_native_bfloat16
from personaplug.embedder.user_embedder import EmbedderConfig
from personaplug.plug.model import PersonaPlug, build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import RunConfig, TrainingConfig
from personaplug.records import Example

INPUT_TOKENS, ANSWER_TOKENS = 96, 32
LIMITS = {"max_input_tokens": INPUT_TOKENS, "max_output_tokens": ANSWER_TOKENS}
EMBEDDER = EmbedderConfig(made_of="outputs", place="after", instructions=8)
"""A persona in training: 14 vectors right before the answer, and no adapter, as PEFT's prompt tuning has none."""

BATCHES = (1, 8, 32)
KEPT = 1_000_000_000
_ANSWERS = 64
"""Of each side: an answer takes half a second, and batches of 32 have fewer turns."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Our side and the model that both sides share.

    Attributes:
        world: Queries and their store.
        name: The language model's.
        plug: Untrained.
        course: What a turn of training is.
    """

    world: World
    name: str
    plug: PersonaPlug
    course: Course

    @property
    def words(self) -> str:
        """Say what is measured on."""
        millions = sum(weight.numel() for weight in self.plug.backbone.model.parameters()) / 1e6
        sizes = f"inputs of {INPUT_TOKENS} tokens, answers of {ANSWER_TOKENS}"
        return f"{self.world.log.name}, {self.name} of {millions:.0f} M weights, {sizes}"


def measure(effort: Effort) -> Iterator[Row]:
    """Measure the five rows of a real model, in one run.

    Freed memory is kept, as every command of ours has it, for both sides.
    """
    start_torch()
    course = Course(2, 1) if effort.is_quick else Course(8, 1)
    with open_world("train", queries=4 if effort.is_quick else 64, is_quick=effort.is_quick) as world:
        name, backbone = language_model(is_quick=effort.is_quick)
        run = RunConfig(task=world.log.task.name, training=TrainingConfig(**LIMITS))
        alone = replace(run, embedder=EMBEDDER, adapter=NO_ADAPTER)
        yield from _training(Stage(world, name, _plug(world, alone, backbone), course), pairs=effort.pairs)
        yield from adapters.measure(effort)
        yield from _answering(Stage(world, name, _plug(world, run, backbone), course), effort=effort)


def _plug(world: World, run: RunConfig, backbone: Backbone) -> PersonaPlug:
    return build_plug(run, world.log.task, store=world.store, query_source=QuerySource.STORE, backbone=backbone)


def _training(stage: Stage, *, pairs: int) -> Iterator[Row]:
    """Measure steps on inputs seen for the first time, then on the same ones, kept."""
    plug = stage.plug
    batches = batches_of(plug, stage.world.examples, size=stage.course.batch)
    own = plug.backbone
    with TemporaryDirectory() as folder:
        theirs = _peft_steps(plug, stage.world.examples, course=stage.course, folder=Path(folder)).train
        plug.backbone = for_steps(own, "auto", place="after")
        ours = our_steps(plug, batches, course=stage.course)
        is_native = has_native_bfloat16(own.device)
        yield _row("first visit", stage, in_turn(ours, theirs, pairs=pairs), at_least=2.5 if is_native else 1.7)
        plug.backbone.kept = KeptInputs(KEPT)
        for batch in batches:
            prompts = plug.prompts(batch.examples)
            plug.backbone.keep(plug.backbone.embed(prompts, max_tokens=plug.prompts.max_tokens))
        yield _row("input kept", stage, in_turn(ours, theirs, pairs=pairs), at_least=4.0 if is_native else 2.9)
    own.model.eval()  # the trainer has left it in training mode
    plug.backbone = own


def _row(name: str, stage: Stage, turns: Turns, *, at_least: float) -> Row:
    steps, batch = stage.course.steps, stage.course.batch
    precision = str(stage.plug.backbone.dtype).removeprefix("torch.")
    words = f"{stage.words}, {EMBEDDER.vectors} vectors, batches of {batch}, our steps in {precision}"
    title = f"real model: a training step against PEFT's prompt tuning, {name}"
    details = turns.details(per=steps)
    return Row(title, words, median(turns.ratios), "x", Target("at least", at_least), details)


def _answering(stage: Stage, *, effort: Effort) -> Iterator[Row]:
    """Measure answers of the default plug beside the bare model's, and beside those with four items."""
    plug = stage.plug.eval()
    for size in BATCHES[:1] if effort.is_quick else BATCHES:
        pairs = min(effort.pairs, max(2, _ANSWERS // size))
        answering = Answering(stage.name, plug, stage.world.examples[: max(size, 2)], size, pairs, ANSWER_TOKENS)
        yield from (replace(row, name=f"real model: {row.name}") for row in answering_rows(stage.world, answering))


def _peft_steps(plug: PersonaPlug, examples: Sequence[Example], *, course: Course, folder: Path) -> Trainer:
    """Make a trainer at its defaults over PEFT's prompt tuning of as many vectors; each ``train`` takes so many steps.

    It draws its batches from the examples that ours are drawn from, and pads them to their longest.
    """
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=EMBEDDER.vectors)
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=course.batch,
        max_steps=course.steps,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        use_cpu=True,
    )
    trainer = Trainer(
        model=get_peft_model(plug.backbone.model, config),
        args=arguments,
        train_dataset=_Rows([tokens_of(plug, example) for example in examples]),
        data_collator=DataCollatorForSeq2Seq(plug.backbone.tokenizer),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def tokens_of(plug: PersonaPlug, example: Example) -> dict[str, list[int]]:
    """Write what our side reads and writes of an example as token ids; the loss is on the answer alone."""
    tokenizer, (prompt,) = plug.backbone.tokenizer, plug.prompts([example])
    read = plug.backbone.cut(prompt, max_tokens=INPUT_TOKENS)
    asked = list(tokenizer(plug.backbone.framed(read), add_special_tokens=False).input_ids)
    said = list(tokenizer(example.target or "", add_special_tokens=False).input_ids)[: ANSWER_TOKENS - 1]
    said = [*said, tokenizer.eos_token_id]
    return {
        "input_ids": asked + said,
        "attention_mask": [1] * len(asked + said),
        "labels": [-100] * len(asked) + said,
    }


class _Rows(Dataset[dict[str, list[int]]]):
    def __init__(self, rows: Sequence[dict[str, list[int]]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: int) -> dict[str, list[int]]:
        return self.rows[at]
