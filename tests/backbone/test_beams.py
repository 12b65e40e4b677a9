import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.backbone import beams
from personaplug.backbone.base import Backbone, GenerationConfig
from tests import tiny
from tests.embedder.histories import few

BEAMS = 3
ENDS = [2, 71, 103, 122, 155, 180, 188, 219, 241]
"""Tokens that the tiny model likes to write, so that its answers end at different times."""

BATCH = ["ab", "a", "hgfe", "a bad cab", "fed", "a much longer text than the others", "h", "deaf"]


MODELS = {"t5": tiny.encoder_decoder, "joined": tiny.joined_encoder_decoder}


@pytest.fixture(scope="module", params=MODELS)
def backbone(request):
    """A tiny model without rules of its own for answers."""
    backbone = MODELS[request.param]()
    backbone.model.generation_config.suppress_tokens = None
    backbone.model.generation_config.eos_token_id = ENDS
    return backbone


@pytest.fixture
def rows(backbone, monkeypatch):
    """How many rows the decoder has read, step by step."""
    seen = []
    forward = backbone.model.decoder.forward

    def counting(**inputs):
        seen.append(len(inputs["input_ids"]))
        return forward(**inputs)

    monkeypatch.setattr(backbone.model.decoder, "forward", counting)
    return seen


@pytest.fixture
def encoded(backbone, monkeypatch):
    """How many rows, of how many tokens, the encoder has read, time by time."""
    seen = []
    forward = backbone.model.get_encoder().forward

    def counting(**inputs):
        seen.append(tuple(inputs["inputs_embeds"].shape[:2]))
        return forward(**inputs)

    monkeypatch.setattr(backbone.model.get_encoder(), "forward", counting)
    return seen


def of_transformers(backbone, texts, config):
    return Backbone.generate(backbone, backbone.embed(texts), config)


@settings(few, max_examples=40)
@given(
    texts=st.lists(st.text("abcdefgh ", min_size=1, max_size=20), min_size=1, max_size=6),
    width=st.integers(1, 5),
    most=st.integers(1, 12),
    leave_at=st.sampled_from([0.0, 0.25, 1.0]),
    at_once=st.integers(1, 6),
)
def test_the_answers_are_those_of_transformers(backbone, texts, width, most, leave_at, at_once):
    config = GenerationConfig("beam", beams=width, max_new_tokens=most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beams, "LEAVE_AT", leave_at)
        patch.setattr(beams, "ENCODED_AT_ONCE", at_once)
        assert backbone.generate(backbone.embed(texts), config) == of_transformers(backbone, texts, config)


@pytest.mark.parametrize("backbone", ["t5"], indirect=True)
def test_a_query_is_encoded_once_and_leaves_when_its_answer_is_settled(backbone, rows, encoded):
    backbone.generate(backbone.embed(BATCH), GenerationConfig("beam", beams=BEAMS, max_new_tokens=30))
    assert [count for count, _ in encoded] == [len(BATCH)]
    assert rows[:2] == [len(BATCH), len(BATCH) * BEAMS]
    assert rows[1:] == sorted(rows[1:], reverse=True)
    assert rows[-1] < rows[1]


def test_an_input_is_encoded_beside_those_of_its_length_and_padded_to_the_longest_of_them(
    backbone, encoded, monkeypatch
):
    monkeypatch.setattr(beams, "ENCODED_AT_ONCE", 3)
    backbone.generate(backbone.embed(BATCH), GenerationConfig("beam", beams=BEAMS, max_new_tokens=2))
    lengths = sorted(map(backbone.count_tokens, BATCH), reverse=True)
    assert encoded == [(3, lengths[0]), (3, lengths[3]), (2, lengths[6])]


@pytest.mark.parametrize("backbone", ["t5"], indirect=True)
def test_nothing_is_written_once_all_answers_are_settled(backbone, rows):
    backbone.generate(backbone.embed(BATCH[:2]), GenerationConfig("beam", beams=BEAMS, max_new_tokens=200))
    assert len(rows) < 200


def test_a_model_with_rules_of_its_own_keeps_to_them():
    strict = tiny.encoder_decoder()
    assert strict.model.generation_config.suppress_tokens
    config = GenerationConfig("beam", beams=BEAMS, max_new_tokens=12)
    assert strict.generate(strict.embed(BATCH), config) == of_transformers(strict, BATCH, config)


@pytest.mark.parametrize("width", [20, 150])
def test_more_candidates_than_words_are_left_to_transformers(backbone, width):
    config = GenerationConfig("beam", beams=width, max_new_tokens=3)
    assert backbone.generate(backbone.embed(BATCH[:2]), config) == of_transformers(backbone, BATCH[:2], config)


def test_a_model_that_names_no_start_for_answers_has_the_one_of_transformers():
    unnamed = tiny.encoder_decoder()
    unnamed.model.generation_config.update(suppress_tokens=None, decoder_start_token_id=None, bos_token_id=1)
    config = GenerationConfig("beam", beams=BEAMS, max_new_tokens=5)
    assert unnamed.generate(unnamed.embed(BATCH), config) == of_transformers(unnamed, BATCH, config)
