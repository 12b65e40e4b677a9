"""What docs/ablations.md promises: every setting is one, is trainable, and leaves no dead weights."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from personaplug.config import override
from personaplug.embedder.copy_head import CopyingConfig
from personaplug.embedder.embedder_config import OURS
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.model import build_plug
from personaplug.plug.query_source import QuerySource
from tests.tiny import FAMILIES
from tests.world import TASK, make_examples, make_run

DOCUMENT = Path(__file__).parents[2] / "docs" / "ablations.md"
ROWS = re.findall(r"^\| ([^|]+) \| (`[^|]+`) \|$", DOCUMENT.read_text(), re.MULTILINE)
OURS_ALONE, ENCODERS = DOCUMENT.read_text().split("**The encoder's persona**")
ENCODER = re.findall("`([^`]+)`", ENCODERS.partition(". It has rows")[0])
"""What turns the default into a persona of the encoder's vectors, whose own rows stand below."""


ASKED = (
    "embedder.instructions=4",
    "embedder.weighting=mean",
    "embedder.temperature=1",
    "embedder.items=4",
    "embedder.items_by=similar",
    "embedder.values=first",
    "embedder.use_query_map=false",
)


@pytest.mark.parametrize("setting", ASKED)
def test_the_document_has_a_row_for_each_ablation_that_was_asked_for(setting):
    assert any(f"`{setting}`" in settings for _, settings in ROWS)


@pytest.mark.parametrize(
    ("at", "settings"), [(at, row[1]) for at, row in enumerate(ROWS)], ids=[row[0] for row in ROWS]
)
def test_an_ablation_is_another_run_in_whose_embedder_every_weight_learns(at, settings, models, store):
    whole = replace(
        make_run(models, list(FAMILIES)[at % 2], copying=CopyingConfig()),
        embedder=OURS,
        adapter=SharedAdapterConfig(rank=2, reads="answer"),
    )
    whole = whole if settings in OURS_ALONE else override(whole, ENCODER)
    run = override(whole, re.findall("`([^`]+)`", settings))
    assert run != whole
    plug = build_plug(run, TASK, store=store, query_source=QuerySource.STORE)
    before = {name: weight.detach().clone() for name, weight in plug.prefix.embedder.named_parameters()}
    _take_steps(plug, make_examples(store, each=2))
    trained = {name: weight for name, weight in plug.prefix.embedder.named_parameters() if weight.requires_grad}
    assert all(weight.isfinite().all() for weight in trained.values())
    assert not [name for name, weight in trained.items() if weight.numel() and torch.equal(weight, before[name])]


def _take_steps(plug, examples):
    """Take as many steps as a gradient needs to reach every weight: the last maps start at zero."""
    optimizer = torch.optim.AdamW(plug.train().parameters(), lr=3e-2)
    for _ in range(3):
        optimizer.zero_grad()
        plug.loss(plug.batcher(examples)).backward()
        optimizer.step()
