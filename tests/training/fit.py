"""Fit a tiny plug, as a test does or as a process of its own that dies at a step."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from personaplug.backbone.precision import Precision
from personaplug.plug.model import PersonaPlug, build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import TrainingConfig
from personaplug.store.persona_store import PersonaStore
from personaplug.training.progress import Fitted
from personaplug.training.trainer import train
from tests.processes import die
from tests.world import TASK, make_examples, make_run

INTERRUPTED = TrainingConfig(batch_size=2, epochs=3.0, learning_rate=1e-2, vector_learning_rate=0.1, evaluate_every=18)
"""39 steps that log and then save at 18, 36 and 39; 18 is in the middle of the second epoch."""


def build(
    models,
    family: str,
    store: PersonaStore,
    training: TrainingConfig,
    *,
    precision: Precision = "float32",
    **parts: object,
) -> PersonaPlug:
    """Make a fresh plug of the tiny models, whose trainings come out alike on every processor.

    Args:
        models: Their folders.
        family: Of the language model.
        store: The histories.
        training: How it is fitted.
        precision: Of its steps.
        parts: Of its run, where they are not the default: ``embedder``, ``method``, ``adapter``.
    """
    run = make_run(models, family, training=replace(training, precision=precision))
    return build_plug(replace(run, **parts), TASK, store=store, query_source=QuerySource.STORE)


def fit(plug: PersonaPlug, folder: Path, *, has_dev: bool = True, **options) -> Fitted:
    """Train on five questions of each user, and look at one of each."""
    examples = make_examples(plug.store, each=5)
    return train(plug, examples, dev=examples[::5] if has_dev else (), folder=folder, **options)


def fit_until(last_step: int, models: Mapping[str, str], store: Path, folder: Path) -> None:
    """Train, and kill this process when it has logged a step."""

    def watch(progress):
        if progress.step >= last_step:
            die()

    fit(build(models, "decoder-only", PersonaStore.open(store), INTERRUPTED), folder, on_progress=watch)
