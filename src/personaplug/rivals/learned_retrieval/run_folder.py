"""The folder of a run of learned retrieval, from its beginning to its end: only a finished one has weights."""

import shutil
from pathlib import Path

from personaplug.config import write_toml
from personaplug.embedder.checkpoint import save_weights
from personaplug.errors import ConfigError
from personaplug.files import discard_drafts, write_text
from personaplug.plug.run_file import as_kept, read_config
from personaplug.plug.run_folder import CARD, CONFIG, TASK, WEIGHTS, check_is_free, check_is_unfinished, holds_run
from personaplug.rivals.learned_retrieval.fitting import Chooser, Chosen
from personaplug.rivals.learned_retrieval.run import RetrievalConfig
from personaplug.tasks.task import Task

_SAID = "said"

_CARD = """# {method} for {task}

{description}

| | |
|---|---|
| method | {method} (arXiv 2404.05970) |
| task | {task} |
| language model (frozen) | {backbone} |
| encoder, where training began | {encoder} |
| learned from | {score} |
| training queries | {queries:,} |
| steps | {steps:,} of {batch} queries, seed {seed} |
| mean score on dev | {dev} |

{prompt}
Trained weights only, in `model.safetensors`; `config.toml` and `task.toml` say how to build the rest. Use it:

    personaplug evaluate LOG --task {task} --method {method} --run {folder} -k {k} --out REPORT.json
"""


def check_folder(folder: Path, *, resume: bool) -> None:
    """Refuse a folder that holds a run, unless it is one to go on with; of a finished one, drop what a kill has left.

    Raises:
        ConfigError: The folder holds a run and ``resume`` is False, or that run is finished.
    """
    if not holds_run(folder):
        return
    is_finished = (folder / WEIGHTS).exists()
    if is_finished:
        forget_said(folder)
        discard_drafts(folder)
    if not resume:
        check_is_free(folder, resuming="go on with an interrupted training")
    check_is_unfinished(folder, is_finished=is_finished)


def begin(folder: Path, run: RetrievalConfig, *, task: Task) -> Path:
    """Write what a run is, before its work; give the folder for what the language model says.

    Raises:
        ConfigError: The folder holds an interrupted run of another configuration or task.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for value, path in ((task, folder / TASK), (as_kept(run, folder), folder / CONFIG)):
        _write_once(value, path)
    return folder / _SAID


def finish(folder: Path, run: RetrievalConfig, *, task: Task, chooser: Chooser, chosen: Chosen, prompt: str) -> None:
    """Write the card, then the weights, and drop what the language model said.

    Args:
        folder: The run's.
        run: How it was made.
        task: What it was trained on.
        chooser: What has learned.
        chosen: How its training went.
        prompt: The card's section on how the language model was asked.
    """
    write_text(folder / CARD, _card(folder, run, task=task, chosen=chosen, prompt=prompt))
    save_weights(chooser, folder / WEIGHTS)
    forget_said(folder)
    discard_drafts(folder)


def forget_said(folder: Path) -> None:
    """Drop what the language model said: its answers may quote users. A kill after the weights may have left it."""
    shutil.rmtree(folder / _SAID, ignore_errors=True)


def _write_once(value: RetrievalConfig | Task, path: Path) -> None:
    if path.exists():
        if as_kept(read_config(type(value), path), path.parent) != value:
            raise ConfigError(
                f"{path} is of an interrupted run with other settings",
                hint="repeat the words it was begun with, or give another --out",
            )
        return
    write_toml(value, path)


def _card(folder: Path, run: RetrievalConfig, *, task: Task, chosen: Chosen, prompt: str) -> str:
    is_likelihood = run.scoring.score == "likelihood"
    share = ", errors as (worst - error) / worst" if run.scoring.relative_errors else ""
    dev = "no dev queries"
    if chosen.dev_score is not None:
        other = "the dense retriever alone" if run.is_ranker else "the single retriever that is best there"
        dev = f"{chosen.dev_score:.4f}; without training {chosen.dev_untrained:.4f}; "
        dev += f"of {other} {chosen.dev_reference:.4f}"
    return _CARD.format(
        method=run.method,
        task=task.name,
        description=task.description,
        backbone=run.backbone.model,
        encoder=run.encoder.model,
        score="nats of the right answer" if is_likelihood else f"{task.metrics[0]} of the generated answer{share}",
        queries=chosen.queries,
        steps=chosen.steps,
        batch=run.fitting.batch_size,
        seed=run.fitting.seed,
        dev=dev,
        folder=folder,
        k=run.selection.k,
        prompt=prompt,
    )
