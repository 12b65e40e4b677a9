"""What trainings of one plug came to, compared."""

import pytest
import torch
from safetensors.torch import load_file

from personaplug.training.checkpoints import read_metrics

WEIGHTS = "model.safetensors", "shared_adapter.safetensors", "copy_head.safetensors"


def curve(folder):
    """Give step, name and value of all losses and gradient norms that a run has logged."""
    lines = read_metrics(folder / "metrics.jsonl")
    return [
        (line["step"], name, line[name])
        for line in lines
        for name in ("loss", "grad_norm", "eval_loss")
        if name in line
    ]


def assert_alike(folder, other, *, weights=WEIGHTS, within=1e-4):
    """Check that two runs have the same losses and weights, up to rounding, which grows from step to step."""
    assert [line[:2] for line in curve(folder)] == [line[:2] for line in curve(other)]
    assert [line[2] for line in curve(folder)] == pytest.approx([line[2] for line in curve(other)], rel=within)
    for name in weights:
        these, those = load_file(folder / name), load_file(other / name)
        assert these.keys() == those.keys()
        for weight, tensor in these.items():
            torch.testing.assert_close(tensor, those[weight], atol=2e-3, rtol=1e-2)
