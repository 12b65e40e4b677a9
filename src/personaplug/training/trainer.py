"""Fit a plug and leave it, finished, in its run folder."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from time import perf_counter

from personaplug.backbone.precision import Precision, for_steps
from personaplug.errors import ConfigError
from personaplug.plug.model import PersonaPlug
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import read_config
from personaplug.plug.run_folder import CONFIG
from personaplug.plug.weights import write_weights
from personaplug.records import Example
from personaplug.training.card import write_card
from personaplug.training.checkpoints import discard_checkpoints, rewind_metrics, starting_point
from personaplug.training.inputs_once import read_inputs
from personaplug.training.plug_trainer import PlugTrainer
from personaplug.training.progress import Fitted, TrainingProgress
from personaplug.training.prompt_section import prompt_section
from personaplug.training.recomputation import recomputing

log = logging.getLogger(__name__)

_BLOCK = 512  # queries encoded together, sorted by length among themselves


def train(  # noqa: PLR0913 (what is trained, where, and who hears of it)
    plug: PersonaPlug,
    examples: Sequence[Example],
    *,
    dev: Sequence[Example] = (),
    folder: Path,
    resume: bool = False,
    shared_inputs: Path | None = None,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    on_encoded: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Fit a plug's prefix and leave it, with the weights that were best on dev and a model card, in a run folder.

    Args:
        plug: Untrained; its weights are changed in place.
        examples: Training queries, all with answers.
        dev: Queries to choose the best weights by; empty to keep the last.
        folder: The run folder; made if absent.
        resume: Go on from the folder's last checkpoint, if there is one.
        shared_inputs: Where trainings leave for each other what the frozen model made of inputs; None to share nothing.
        on_progress: Called at each logged step.
        on_encoded: Called before the first step, with the queries encoded so far and all that are.

    Raises:
        ConfigError: There is nothing to train on, or the folder holds a run that is finished or not to be resumed.
    """
    if not examples:
        raise ConfigError("there is no query to train on", hint="personaplug data audit shows what the split leaves")
    checkpoint = starting_point(folder, resume=resume)
    stepping = for_steps(
        plug.backbone,
        _precision(plug.run, resumed=folder if checkpoint else None),
        place="after" if plug.run.reads_inputs_alone else "before",
    )
    plug.run = _settled(plug.run, is_lower=stepping is not plug.backbone)
    trainer = PlugTrainer(plug, examples, dev=dev, folder=folder, stepping=stepping, on_progress=on_progress)
    trainer.accelerator.wait_for_everyone()  # Every process has looked before one writes.
    if trainer.is_world_process_zero():
        plug.save_config(folder)
        rewind_metrics(folder, to=checkpoint)
    weights = sum(weight.numel() for weight in plug.parameters() if weight.requires_grad)
    log.info("train %d weights on %d queries from %s", weights, len(examples), checkpoint or "the start")
    began = perf_counter()
    _encode_queries(plug, chain(examples, dev), on_encoded=on_encoded)
    config = plug.run.training
    try:
        read = read_inputs(plug, examples, through=stepping, shared=shared_inputs)
        with recomputing(stepping.model, enabled=config.gradient_checkpointing, has_dropout=config.backbone_dropout):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        read = replace(read, found=stepping.kept.found if stepping.kept else 0)
    finally:
        stepping.kept = None
    fitted = Fitted(
        trainer.state.global_step,
        trainer.state.best_metric,
        perf_counter() - began + (read.seconds if read.was_read_before else 0.0),
        precision=str(stepping.dtype).removeprefix("torch."),
        inputs_read=read,
    )
    plug.eval()
    if trainer.is_world_process_zero():
        _finish(plug, fitted, folder=folder, queries=len(examples))
    return fitted


def _precision(run: RunConfig, *, resumed: Path | None) -> Precision:
    """Give the precision to try: what is resumed goes on in its own, which was float32 before there was a choice."""
    if resumed is None or run.training.precision != "auto":
        return run.training.precision
    held = read_config(RunConfig, resumed / CONFIG).training.precision
    return "float32" if held == "auto" else held


def _settled(run: RunConfig, *, is_lower: bool) -> RunConfig:
    """Write down the precision of the steps, for who resumes the run, on whichever machine."""
    return replace(run, training=replace(run.training, precision="bfloat16" if is_lower else "float32"))


def _encode_queries(
    plug: PersonaPlug, examples: Iterable[Example], *, on_encoded: Callable[[int, int], None] | None
) -> None:
    """Encode what a frozen query encoder reads before the first step, so that a resumed run finds the same vectors.

    Which texts share a batch decides their vectors' last bits; here the batches do not depend on where training begins.
    """
    if vectors := plug.query_vectors:
        texts = [plug.query(example) for example in examples][: vectors.capacity]
        for start in range(0, len(texts), _BLOCK):
            vectors(texts[start : start + _BLOCK])
            if on_encoded:
                on_encoded(min(start + _BLOCK, len(texts)), len(texts))


def _finish(plug: PersonaPlug, fitted: Fitted, *, folder: Path, queries: int) -> None:
    """Leave card, then weights; a run killed between any two has its checkpoints, and resumed it comes here again."""
    prompt = prompt_section(plug.backbone, plug.task, has_items=plug.run.retriever is not None)
    write_card(folder, plug.run, task=plug.task, fitted=fitted, queries=queries, prompt=prompt)
    write_weights(plug.prefix, plug.adapter, folder)
    discard_checkpoints(folder)
