"""Read the inputs of a training once, where they are the same at every visit.

They are read before the first step, in batches that do not depend on where training begins: a resumed run goes on with
the same numbers.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

from personaplug.backbone.base import Backbone
from personaplug.backbone.kept_inputs import KeptInputs
from personaplug.plug.model import PersonaPlug
from personaplug.records import Example
from personaplug.training.batches import count_tokens
from personaplug.training.progress import InputsRead

log = logging.getLogger(__name__)

_MEGABYTE = 1_000_000


def read_inputs(
    plug: PersonaPlug,
    examples: Sequence[Example],
    *,
    through: Backbone,
) -> InputsRead:
    """Have a training's inputs read once, the longest first, until the budget of bytes is spent.

    Nothing is read where it would gain nothing, or where a visit's input is not that of the next.

    Args:
        plug: Writes the inputs.
        examples: All training queries.
        through: The language model of the steps, which keeps what it makes of them.
    """
    if not _are_the_same_at_every_visit(plug) or plug.run.training.kept_megabytes == 0:
        return InputsRead(queries=len(examples))
    began = perf_counter()
    kept = KeptInputs(plug.run.training.kept_megabytes * _MEGABYTE)
    through.kept = kept
    lengths, size = count_tokens(plug, examples), plug.run.training.batch_size
    order = sorted(range(len(examples)), key=lambda at: -lengths[at])
    for start in range(0, len(order), size):
        prompts = plug.prompts([examples[at] for at in order[start : start + size]])
        inputs = through.embed(prompts, max_tokens=plug.prompts.max_tokens)
        through.keep(replace(inputs, tail=plug.adapter.closing) if plug.adapter else inputs)
        if kept.is_full or not len(kept):
            break
    read = InputsRead(len(kept), len(examples), kept.bytes, perf_counter() - began)
    log.info("%d inputs of %d queries read once, %d bytes, %.1f s", read.inputs, read.queries, read.bytes, read.seconds)
    return read


def _are_the_same_at_every_visit(plug: PersonaPlug) -> bool:
    """Tell whether an input is visited twice, and nothing that it is read with changes: vectors, items, weights."""
    training = plug.run.training
    return (
        training.epochs > 1.0
        and plug.run.reads_inputs_alone
        and plug.run.retriever is None
        and not training.backbone_dropout
        and not training.gradient_checkpointing
    )
