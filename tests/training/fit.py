"""Fit a tiny plug, as a test does or as a process of its own that dies at a step.

``python -m tests.training.fit MODELS STORE RUN STEP``: models and store are those of ``tests.world``.
"""

import os
import signal
import sys
from pathlib import Path

from personaplug.embedder.user_embedder import EmbedderConfig
from personaplug.plug.model import PersonaPlug, build_plug
from personaplug.plug.run import TrainingConfig
from personaplug.store.sqlite import PersonaStore
from personaplug.training.progress import Fitted
from personaplug.training.trainer import train
from tests.world import TASK, make_examples, make_run

INTERRUPTED = TrainingConfig(batch_size=2, epochs=4.0, learning_rate=1e-2, vector_learning_rate=0.1, evaluate_every=22)
"""52 steps that log at 20, 22, 40, 44 and 52 and save at 22, 44 and 52; 22 is in the middle of the second epoch."""


def build(
    models,
    family: str,
    store: PersonaStore,
    training: TrainingConfig,
    *,
    embedder: EmbedderConfig = EmbedderConfig(),  # noqa: B008 (frozen)
    method: str = "plug",
) -> PersonaPlug:
    """Make a fresh plug of the tiny models."""
    return build_plug(make_run(models, family, embedder=embedder, training=training, method=method), TASK, store=store)


def fit(plug: PersonaPlug, folder: Path, *, has_dev: bool = True, **options) -> Fitted:
    """Train on five questions of each user, and look at one of each."""
    examples = make_examples(plug.store, each=5)
    return train(plug, examples, dev=examples[::5] if has_dev else (), folder=folder, **options)


def main(models: str, store: str, folder: str, last_step: str) -> None:
    """Train, and kill this process when it has logged a step."""

    def die(progress):
        if progress.step >= int(last_step):
            os.kill(os.getpid(), signal.SIGKILL)

    names = {path.name: str(path) for path in Path(models).iterdir()}
    fit(build(names, "decoder-only", PersonaStore.open(store), INTERRUPTED), Path(folder), on_progress=die)


if __name__ == "__main__":
    main(*sys.argv[1:])
