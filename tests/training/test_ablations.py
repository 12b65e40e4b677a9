"""What docs/ablations.md promises: every setting is one, is trainable, and leaves no dead weights."""

import re
from pathlib import Path

import pytest
import torch

from personaplug.config import override
from personaplug.plug.model import build_plug
from personaplug.plug.run import TrainingConfig
from tests.tiny import FAMILIES
from tests.training.fit import fit
from tests.world import TASK, make_run

DOCUMENT = Path(__file__).parents[2] / "docs" / "ablations.md"
ROWS = re.findall(r"^\| ([^|]+) \| (`[^|]+`) \|$", DOCUMENT.read_text(), re.MULTILINE)
SHORT = TrainingConfig(batch_size=5, epochs=3.0, learning_rate=3e-2, vector_learning_rate=0.3)


def test_the_document_lists_all_that_was_asked_of_it():
    assert len(ROWS) == len(dict(ROWS)) >= 8


@pytest.mark.parametrize(
    ("at", "settings"), [(at, row[1]) for at, row in enumerate(ROWS)], ids=[row[0] for row in ROWS]
)
def test_an_ablation_is_another_run_in_whose_embedder_every_weight_learns(at, settings, models, store, tmp_path):
    whole = make_run(models, list(FAMILIES)[at % 2], training=SHORT)
    run = override(whole, re.findall("`([^`]+)`", settings))
    assert run != whole
    plug = build_plug(run, TASK, store=store)
    before = {name: weight.detach().clone() for name, weight in plug.prefix.embedder.named_parameters()}
    fit(plug, tmp_path / "run")
    trained = {name: weight for name, weight in plug.prefix.embedder.named_parameters() if weight.requires_grad}
    assert all(weight.isfinite().all() for weight in trained.values())
    assert not [name for name, weight in trained.items() if weight.numel() and torch.equal(weight, before[name])]
