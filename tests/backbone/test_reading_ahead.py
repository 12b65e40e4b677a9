"""Inputs that are read once for all that is asked of them."""

import pytest
import torch

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.tokens import pad_rows
from tests import tiny

INPUTS = ["what is it", "", "a longer question than all the others here", "🙂"]
ANSWERS = ["no", "a very long answer indeed", "", "yes 🙂"]
SHORT = GenerationConfig(max_new_tokens=10)
MODELS = tiny.FAMILIES | {"absolute": tiny.absolute_decoder_only}


@pytest.fixture(params=MODELS)
def backbone(request):
    return MODELS[request.param]()


def inputs_of(backbone, place, *, texts=INPUTS):
    inputs = backbone.embed(texts)
    draw = torch.randn(len(texts), 3, backbone.dim, generator=torch.Generator().manual_seed(0))
    return inputs.with_prefix(draw, place=place) if place else inputs


def count_tokens(backbone, monkeypatch):
    """Count the tokens of a row that the model is given at each call, padding and vectors among them."""
    own, read = backbone.model.forward, []

    def forward(**given):
        tokens = given["input_ids"] if given.get("inputs_embeds") is None else given["inputs_embeds"]
        read.append(tokens.shape[1])
        return own(**given)

    monkeypatch.setattr(backbone.model, "forward", forward)
    return read


@pytest.mark.parametrize("place", [None, "before", "after"])
def test_answers_and_likelihoods_are_those_of_inputs_that_each_reads_for_itself(backbone, place):
    inputs = inputs_of(backbone, place)
    with torch.inference_mode():
        ahead = backbone.read_ahead(inputs)
        expected = backbone.score(inputs, ANSWERS).log_likelihood
        for _ in range(2):
            assert backbone.generate(ahead, SHORT) == backbone.generate(inputs, SHORT)
            torch.testing.assert_close(backbone.score(ahead, ANSWERS).log_likelihood, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("place", "tail"), [(None, 1), ("before", 1), ("after", 3)])
def test_an_answer_and_its_likelihood_read_nothing_again_but_the_end_of_an_input(place, tail, monkeypatch):
    backbone = tiny.decoder_only()
    read = count_tokens(backbone, monkeypatch)
    ahead = backbone.read_ahead(inputs_of(backbone, place))
    backbone.generate(ahead, GenerationConfig(max_new_tokens=1))
    backbone.score(ahead, ["no"] * len(INPUTS))
    answer = len("no") + 1
    assert read == [ahead.embeds.shape[1] - tail, tail, tail + answer]


def test_beams_answer_as_if_nothing_had_been_read():
    backbone = tiny.decoder_only()
    inputs, beams = inputs_of(backbone, "after"), GenerationConfig(strategy="beam", max_new_tokens=5)
    assert backbone.generate(backbone.read_ahead(inputs), beams) == backbone.generate(inputs, beams)


def test_of_an_input_of_one_token_there_is_nothing_to_read_ahead():
    backbone = tiny.decoder_only()
    inputs = pad_rows([torch.zeros(1, backbone.dim)], side=backbone.side)
    assert backbone.read_ahead(inputs) is inputs
