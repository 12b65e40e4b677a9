"""Kept inputs as a file that other trainings find."""

import pytest
import torch

from personaplug.backbone.inputs_file import inputs_file, take_inputs, write_inputs
from personaplug.backbone.kept_inputs import KeptInputs
from tests import tiny
from tests.full_disk import full_disk

CPU = torch.device("cpu")


@pytest.fixture
def kept():
    backbone = tiny.decoder_only()
    backbone.kept = KeptInputs(10**9)
    backbone.keep(backbone.embed(["a", "what is this?"]))
    return backbone.kept


def test_what_is_written_is_read_again_with_its_seconds(kept, tmp_path):
    write_inputs(kept, tmp_path / "new" / "file", seconds=1.25)
    found = KeptInputs(10**9)
    assert take_inputs(tmp_path / "new" / "file", found, device=CPU) == 1.25
    assert (found.rows.keys(), found.bytes, found.tokens) == (kept.rows.keys(), kept.bytes, kept.tokens)
    assert all(torch.equal(row, kept.rows[name]) for name, row in found.rows.items())


def test_a_file_that_is_missing_or_broken_is_as_none(kept, tmp_path):
    file = tmp_path / "file"
    assert take_inputs(file, KeptInputs(10**9), device=CPU) is None
    write_inputs(kept, file, seconds=1.0)
    file.write_bytes(file.read_bytes()[:-7])
    assert take_inputs(file, KeptInputs(10**9), device=CPU) is None


def test_a_full_disk_costs_the_file_and_not_the_training(kept, tmp_path):
    with full_disk():
        write_inputs(kept, tmp_path / "file", seconds=1.0)
    assert list(tmp_path.iterdir()) == []


def test_any_bit_of_a_weight_and_any_word_said_makes_another_file(tmp_path):
    model = tiny.decoder_only().model
    names = [inputs_file(tmp_path, model, ["a"]), inputs_file(tmp_path, model, ["b"]), inputs_file(tmp_path, model, [])]
    assert inputs_file(tmp_path, tiny.decoder_only().model, ["a"]) == names[0]
    with torch.no_grad():
        for weight in model.parameters():
            last = weight.view(-1)[-1:]
            last.copy_(torch.nextafter(last, last + 1))
            names.append(inputs_file(tmp_path, model, ["a"]))
    names.append(inputs_file(tmp_path, model.to(torch.bfloat16), ["a"]))
    assert len(set(names)) == len(names)
