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
from personaplug.training.processes import Processes
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

    Where a launcher such as ``torchrun`` has started many processes, all of them call this and train together.

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
        ConfigError: There is nothing to train on, or the folder holds a run that is finished or not to be resumed, or
            that other processes have begun.
        ProcessLostError: Another process is gone.
    """
    if not examples:
        raise ConfigError("there is no query to train on", hint="personaplug data audit shows what the split leaves")
    processes = Processes.joined()
    checkpoint = starting_point(folder, resume=resume)
    _check_is_one_run(plug.run, folder, checkpoint, processes)
    stepping = for_steps(
        plug.backbone,
        _precision(plug.run, resumed=folder if checkpoint else None),
        place="after" if plug.run.reads_inputs_alone else "before",
    )
    plug.run = _settled(plug.run, is_lower=stepping is not plug.backbone, processes=processes.count)
    trainer = PlugTrainer(
        plug, examples, dev=dev, folder=folder, stepping=stepping, on_progress=on_progress, processes=processes
    )
    processes.wait()  # Every process has looked before one writes.
    if processes.is_first:
        plug.save_config(folder)
        rewind_metrics(folder, to=checkpoint)
    weights = sum(weight.numel() for weight in plug.parameters() if weight.requires_grad)
    log.info("train %d weights on %d queries from %s", weights, len(examples), checkpoint or "the start")
    began = perf_counter()
    _encode_queries(plug, chain(examples, dev), processes=processes, on_encoded=on_encoded)
    config = plug.run.training
    try:
        read = read_inputs(plug, examples, through=stepping, shared=shared_inputs, processes=processes)
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
    processes.wait()  # Every process has the best weights before the first takes the checkpoints away.
    if processes.is_first:
        _finish(plug, fitted, folder=folder, queries=len(examples))
    return fitted


def _precision(run: RunConfig, *, resumed: Path | None) -> Precision:
    """Give the precision to try: what is resumed goes on in its own, which was float32 before there was a choice.

    A language model in parts stays as it was loaded.
    """
    if run.training.shards_backbone:
        return "float32"
    if resumed is None or run.training.precision != "auto":
        return run.training.precision
    held = read_config(RunConfig, resumed / CONFIG).training.precision
    return "float32" if held == "auto" else held


def _check_is_one_run(run: RunConfig, folder: Path, checkpoint: Path | None, processes: Processes) -> None:
    """Refuse to go on with other steps than a run has begun with, or from checkpoints that not all processes see."""
    if len(set(processes.gathered(checkpoint and checkpoint.name))) > 1:
        raise ConfigError(f"not all processes see the checkpoints in {folder}", hint="give an --out that they share")
    if checkpoint is None:
        return
    held, asked = read_config(RunConfig, folder / CONFIG).training, run.training
    if held.batch_size * held.processes != asked.batch_size * processes.count:
        raise ConfigError(
            f"the run in {folder} has batches of {held.batch_size} queries in each of {held.processes} processes, not "
            f"of {asked.batch_size} in {processes.count}",
            hint=f"go on with {held.processes} processes, or with a --batch-size that makes as many in all",
        )


def _settled(run: RunConfig, *, is_lower: bool, processes: int) -> RunConfig:
    """Write down who takes the steps and in which precision, for who resumes the run, on whichever machine."""
    precision: Precision = "bfloat16" if is_lower else "float32"
    return replace(run, training=replace(run.training, precision=precision, processes=processes))


def _encode_queries(
    plug: PersonaPlug,
    examples: Iterable[Example],
    *,
    processes: Processes,
    on_encoded: Callable[[int, int], None] | None,
) -> None:
    """Encode what a frozen query encoder reads before the first step, so that a resumed run finds the same vectors.

    Which texts share a batch decides their vectors' last bits; here the batches do not depend on where training begins,
    nor on how many processes there are: each encodes some of them.
    """
    if vectors := plug.query_vectors:
        texts = [plug.query(example) for example in examples][: vectors.capacity]
        blocks = [texts[start : start + _BLOCK] for start in range(0, len(texts), _BLOCK)]
        for start in range(0, len(blocks), processes.count):
            together = blocks[start : start + processes.count]
            for block, made in zip(together, processes.together(together, vectors), strict=True):
                vectors.take(block, made)
            if on_encoded:
                on_encoded(min((start + processes.count) * _BLOCK, len(texts)), len(texts))


def _finish(plug: PersonaPlug, fitted: Fitted, *, folder: Path, queries: int) -> None:
    """Leave card, then weights; a run killed between any two has its checkpoints, and resumed it comes here again."""
    prompt = prompt_section(plug.backbone, plug.task, has_items=plug.run.retriever is not None)
    write_card(folder, plug.run, task=plug.task, fitted=fitted, queries=queries, prompt=prompt)
    write_weights(plug.parts, folder)
    discard_checkpoints(folder)
