import pytest
import torch

from personaplug.backbone import precision
from personaplug.backbone.precision import for_steps, in_bfloat16
from tests import tiny


@pytest.fixture
def native(monkeypatch):
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda _: True)


def dtypes(model):
    return {weight.dtype for weight in model.parameters()}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", tiny.FAMILIES)
def test_a_copy_in_bfloat16_has_near_its_loss_and_leaves_the_model_as_it_was(name, place):
    backbone = tiny.FAMILIES[name]()
    before = {key: weight.clone() for key, weight in backbone.model.state_dict().items()}
    lower = in_bfloat16(backbone, place=place)
    assert (dtypes(backbone.model), dtypes(lower.model)) == ({torch.float32}, {torch.bfloat16})
    vectors = torch.randn(2, 3, backbone.dim).requires_grad_()
    losses = [
        each.loss(each.embed(["one", "another"]).with_prefix(vectors, place=place), ["yes", "no, not"])
        for each in (backbone, lower)
    ]
    losses[1].backward()
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.05)
    assert vectors.grad.dtype == losses[1].dtype == torch.float32
    assert all(torch.equal(weight, before[key]) for key, weight in backbone.model.state_dict().items())


def test_tied_weights_stay_one_and_tables_of_angles_keep_their_precision():
    backbone = tiny.absolute_decoder_only()
    lower = in_bfloat16(backbone, place="after").model
    assert lower.get_output_embeddings().weight is lower.get_input_embeddings().weight
    angles = in_bfloat16(tiny.decoder_only(), place="after").model.model.rotary_emb.inv_freq
    assert angles.dtype == torch.float32


def test_auto_takes_bfloat16_only_where_the_processor_has_it(monkeypatch):
    backbone = tiny.absolute_decoder_only()
    for has_it, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(precision, "has_native_bfloat16", lambda _, has_it=has_it: has_it)
        monkeypatch.setattr(precision, "_COSINE", 0.5)  # a model of a few dimensions is rounded hard
        monkeypatch.setattr(precision, "_LOSS", 0.5)
        assert dtypes(for_steps(backbone, "auto", place="after").model) == {expected}


@pytest.mark.parametrize("off", [(1.03, 1.0), (1.0, -1.0)])
def test_auto_leaves_a_model_whose_loss_or_gradients_come_out_otherwise(native, monkeypatch, off):  # noqa: ARG001
    backbone = tiny.decoder_only()
    results = iter([(torch.tensor(2.0), torch.ones(5)), (torch.tensor(2.0 * off[0]), off[1] * torch.ones(5))])
    monkeypatch.setattr(precision, "_probe", lambda *_: next(results))
    assert for_steps(backbone, "auto", place="after") is backbone


def test_float32_stays_float32_and_bfloat16_is_not_copied(native):  # noqa: ARG001
    backbone = tiny.decoder_only()
    assert for_steps(backbone, "float32", place="after") is backbone
    lower = for_steps(backbone, "bfloat16", place="after")
    assert for_steps(lower, "auto", place="after") is lower
