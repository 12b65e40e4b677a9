"""An adapter folded into a copy of the language model: the same answers, and nothing beside its maps."""

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

from personaplug.plug import folded as folding
from personaplug.plug.folded import FoldedMap
from personaplug.plug.shared_adapter import SharedAdapter, each_its_own
from tests import tiny
from tests.plug.adapters import SMALL, moved, of_the_same_weights

FAMILIES = [tiny.decoder_only, tiny.encoder_decoder]


def read(model, backbone, *, tokens):
    """Have a model read made-up inputs of so many tokens."""
    torch.manual_seed(0)
    inputs = torch.randn(2, tokens, backbone.dim).to(backbone.dtype)
    more = {"decoder_input_ids": torch.tensor([[1, 2], [3, 4]])} if model.config.is_encoder_decoder else {}
    return model(inputs_embeds=inputs, **more).logits.detach()


@pytest.mark.parametrize("make", FAMILIES)
@pytest.mark.parametrize("personal", [None, [True, True], [False, False]])
@pytest.mark.parametrize("reads", ["all", "answer"])
@pytest.mark.parametrize("tokens", [1, 4, 9])
def test_it_reads_as_the_language_model_with_the_adapter_beside_it(make, personal, reads, tokens):
    backbone = make()
    backbone.model.double()  # so that no order of sums shows
    adapter = moved(backbone, config=replace(SMALL, reads=reads), closing=1, vectors=3, is_apart=True).double()
    bare = read(backbone.model, backbone, tokens=tokens)
    with torch.no_grad(), adapter.beside(backbone.model, personal=personal) as own:
        assert own is not backbone.model
        ours = read(own, backbone, tokens=tokens)
        assert torch.equal(read(backbone.model, backbone, tokens=tokens), bare)  # nothing stands beside that one
    with pytest.MonkeyPatch.context() as patched, torch.no_grad():
        patched.setattr(folding, "MOST_BYTES", 0)
        other = of_the_same_weights(adapter, backbone, closing=1, vectors=3, is_apart=True)
        with other.beside(backbone.model, personal=personal) as same:
            assert same is backbone.model
            beside = read(same, backbone, tokens=tokens)
    torch.testing.assert_close(ours, beside, atol=1e-9, rtol=1e-9)
    assert not torch.allclose(ours, bare, atol=1e-2)


@pytest.mark.parametrize("make", FAMILIES)
def test_the_copy_has_no_other_weights_of_its_own_than_those_maps(make):
    backbone = make()
    adapter = moved(backbone)
    before = {name: weight.clone() for name, weight in backbone.model.named_parameters()}
    with torch.no_grad(), adapter.beside(backbone.model) as own:
        folds = [each for each in own.modules() if isinstance(each, FoldedMap)]
    assert len(folds) == len(adapter.names)
    theirs = {id(weight) for weight in backbone.model.parameters()}
    assert {id(weight) for weight in own.parameters()} <= theirs
    for name, weight in backbone.model.named_parameters():
        assert torch.equal(weight, before[name])
    assert not any(isinstance(each, FoldedMap) for each in backbone.model.modules())


def test_it_is_made_once_and_anew_when_the_adapter_learns():
    backbone = tiny.decoder_only()
    adapter = moved(backbone)

    def own():
        with torch.no_grad(), adapter.beside(backbone.model) as model:
            return model

    first = own()
    assert own() is first
    with torch.no_grad():
        for weight in adapter.second:
            weight.normal_()
    later = own()
    assert later is not first
    reads = (read(each, backbone, tokens=1) for each in (first, later))
    assert not torch.allclose(*reads, atol=1e-2)


@pytest.mark.parametrize("change", ["precision", "weights"])
def test_it_is_made_anew_when_the_language_model_is_no_more_what_it_was(change):
    backbone = tiny.decoder_only()
    adapter = moved(backbone)
    with torch.no_grad(), adapter.beside(backbone.model) as first:
        before = read(first, backbone, tokens=4)
    if change == "precision":
        backbone.model.double()
    else:
        backbone.model.load_state_dict({name: 2 * each for name, each in backbone.model.state_dict().items()})
    with torch.no_grad(), adapter.beside(backbone.model) as model:
        after = read(model, backbone, tokens=4)
    with torch.no_grad(), of_the_same_weights(adapter, backbone).beside(backbone.model) as fresh:
        torch.testing.assert_close(after, read(fresh, backbone, tokens=4))
    assert model is not first
    assert torch.allclose(after.float(), before, atol=1e-2) == (change == "precision")


def test_while_another_stands_beside_the_model_nothing_is_folded_and_nothing_of_it_stays():
    backbone = tiny.decoder_only()
    one, other = moved(backbone), moved(backbone)

    def own():
        with torch.no_grad(), other.beside(backbone.model) as model:
            return model

    with ThreadPoolExecutor(1) as pool:
        with torch.no_grad(), one.beside(backbone.model, answer_tokens=1):
            assert pool.submit(own).result() is backbone.model
        alone = pool.submit(own).result()
    assert alone is not backbone.model
    assert not any(each._forward_hooks for each in alone.modules())


def test_a_copy_of_the_adapter_takes_no_language_model_with_it():
    backbone = tiny.decoder_only()
    adapter = moved(backbone)
    with torch.no_grad(), adapter.beside(backbone.model):
        pass
    assert adapter._folds._made
    assert not deepcopy(adapter)._folds._made


def test_maps_that_are_packed_or_where_rows_differ_have_the_adapter_beside_them():
    class Packed(nn.Linear):
        """As quantized maps are: a linear map by type, whose weight is no plain one."""

    backbone = tiny.decoder_only()
    adapter = moved(backbone, is_apart=True)
    with torch.no_grad():
        for rows, personal in (([True, False], None), (None, [True, False])):
            with adapter.beside(backbone.model, rows=rows, personal=personal) as model:
                assert model is backbone.model
        with each_its_own(backbone.model, [adapter, moved(backbone)]) as model:
            assert model is backbone.model
        with each_its_own(backbone.model, [adapter, adapter]) as model:
            assert model is not backbone.model
        backbone.model.get_submodule(adapter.names[0]).__class__ = Packed
        adapter.second[0].add_(1.0)
        with adapter.beside(backbone.model) as model:
            assert model is backbone.model


def test_in_16_bits_nothing_is_folded_in_that_rounding_would_take():
    backbone = tiny.decoder_only()
    adapter = moved(backbone)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), adapter.beside(backbone.model) as model:
        assert model is backbone.model
    backbone.model.to(torch.bfloat16)
    with torch.no_grad(), adapter.beside(backbone.model) as model:
        assert model is backbone.model


def test_weights_whose_changes_do_not_show_are_not_folded_in():
    backbone = tiny.decoder_only()
    with torch.inference_mode():
        adapter = SharedAdapter(backbone.model, SMALL)
        with adapter.beside(backbone.model) as model:
            assert model is backbone.model
