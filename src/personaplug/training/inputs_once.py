"""Read the inputs of a training once, where they are the same at every draw.

They are read before the first step, in batches that do not depend on where training begins: a resumed run goes on with
the same numbers. Trainings that share a folder, as those of a bench do, read them once for all.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from torch import Tensor

from personaplug.backbone.base import Backbone
from personaplug.backbone.inputs_file import inputs_file, take_inputs, write_inputs
from personaplug.backbone.kept_inputs import KeptInputs
from personaplug.plug.model import PersonaPlug
from personaplug.records import Example
from personaplug.training.batches import count_tokens
from personaplug.training.processes import ALONE, Processes
from personaplug.training.progress import InputsRead

log = logging.getLogger(__name__)

_MEGABYTE = 1_000_000


def read_inputs(
    plug: PersonaPlug,
    examples: Sequence[Example],
    *,
    through: Backbone,
    shared: Path | None = None,
    processes: Processes = ALONE,
) -> InputsRead:
    """Have a training's inputs read once, the longest first, until the budget of bytes is spent.

    Of many processes each reads a share, and all keep all: which inputs a process comes by differs from epoch to epoch.

    Nothing is read where it would gain nothing, or where a draw's input is not that of the next.

    Args:
        plug: Writes the inputs.
        examples: All training queries.
        through: The language model of the steps, which keeps what it makes of them.
        shared: A folder where trainings of one process leave what they have read for each other; None for a training
            by itself.
        processes: That train together.
    """
    config = plug.run.training
    comes_again = config.epochs > 1.0 or shared is not None
    if not comes_again or not _are_the_same_at_every_draw(plug) or config.kept_megabytes == 0:
        return InputsRead(queries=len(examples))
    kept = through.kept = KeptInputs(config.kept_megabytes * _MEGABYTE)
    is_alone = processes.count == 1
    file = inputs_file(shared, through.model, _decisive(plug, examples)) if shared and is_alone else None
    seconds = take_inputs(file, kept, device=through.device) if file else None
    was_read_before = seconds is not None
    if seconds is None:
        seconds = _read(plug, examples, through=through, kept=kept, processes=processes)
        if file and len(kept):
            write_inputs(kept, file, seconds=seconds)
    read = InputsRead(len(kept), len(examples), kept.bytes, seconds, was_read_before=was_read_before)
    log.info("%d inputs of %d queries read once, %d bytes, %.1f s", read.inputs, read.queries, read.bytes, read.seconds)
    return read


def _read(
    plug: PersonaPlug, examples: Sequence[Example], *, through: Backbone, kept: KeptInputs, processes: Processes
) -> float:
    """Read inputs, and give the seconds that it took."""
    began = perf_counter()
    lengths, size = count_tokens(plug, examples, processes=processes), plug.run.training.batch_size
    order = sorted(range(len(examples)), key=lambda at: -lengths[at])
    batches = [[examples[at] for at in order[start : start + size]] for start in range(0, len(order), size)]
    for start in range(0, len(batches), processes.count):
        together = batches[start : start + processes.count]
        for rows in processes.together(together, lambda batch: _made(plug, batch, through, kept.budget, processes)):
            for name, made in rows.items():
                kept.take(name, made.to(through.device))
        if kept.is_full or not len(kept):
            break
    through.kept = kept
    return perf_counter() - began


def _made(
    plug: PersonaPlug, batch: Sequence[Example], through: Backbone, budget: int, processes: Processes
) -> dict[str, Tensor]:
    """Read a batch of inputs; what other processes are to get is on the CPU."""
    through.kept = KeptInputs(budget)
    inputs = through.embed(plug.prompts(batch), max_tokens=plug.prompts.max_tokens)
    through.keep(replace(inputs, tail=plug.tokens_behind))
    rows = through.kept.rows
    return rows if processes.count == 1 else {name: made.cpu() for name, made in rows.items()}


def _decisive(plug: PersonaPlug, examples: Sequence[Example]) -> list[object]:
    """Say what decides what is kept, beside the language model's weights."""
    config = plug.run.training
    limits = [plug.prompts.max_tokens, plug.tokens_behind, config.batch_size, config.kept_megabytes]
    return [limits, plug.backbone.framed(""), plug.prompts(examples)]


def _are_the_same_at_every_draw(plug: PersonaPlug) -> bool:
    """Tell whether nothing changes that an input is read with: vectors, items, weights."""
    training = plug.run.training
    return (
        plug.run.reads_inputs_alone
        and plug.run.retriever is None
        and not training.backbone_dropout
        and not training.gradient_checkpointing
        and not training.shards_backbone  # All processes must put a layer together at the same time.
    )
