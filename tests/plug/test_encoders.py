"""Encoders by name: which kind each name stands for, with which settings, and who made the vectors of a store."""

import json
from dataclasses import replace

import pytest
import torch
from torch.nn import functional
from transformers import RobertaConfig, RobertaModel

from personaplug.embedder.encoder import EncoderConfig, TextEncoder
from personaplug.errors import ConfigError, FingerprintMismatchError
from personaplug.plug.encoders import (
    ENCODERS,
    check_encoder,
    encoder_config,
    encoder_named_by,
    encoder_of,
    is_language_model,
    load_encoder,
)
from personaplug.store.base import StoreLayout
from tests import tiny
from tests.gguf_files import write_gguf

FLOAT32 = {"precision": "float32"}
WORDED_ALIKE = ["fix the bug", "Fix the Bug", "fix the bug."]
"""One subject as three authors write it."""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONAPLUG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def llama(tmp_path):
    return tiny.save_model(tiny.decoder_only(), tmp_path / "llama")


def layout_of(encoder):
    return StoreLayout(encoder.fingerprint, ("{input}",), encoder.dim)


def load(name, **settings):
    return load_encoder(replace(encoder_config(name), **FLOAT32, **settings), device="cpu")


def test_a_language_models_folder_stands_for_its_own_states(llama):
    encoder = load(llama)
    backbone = tiny.decoder_only()
    by_hand = TextEncoder.of_states(backbone.model, backbone.tokenizer, EncoderConfig(llama, **FLOAT32))
    assert encoder.fingerprint == by_hand.fingerprint
    assert torch.equal(encoder.encode(WORDED_ALIKE), by_hand.encode(WORDED_ALIKE))
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_a_language_models_gguf_file_stands_for_its_own_states(tmp_path):
    write_gguf(tmp_path / "tiny.gguf")
    encoder = load(str(tmp_path / "tiny.gguf"))
    assert encoder.fingerprint.startswith("tiny.gguf@")
    assert "|mean of layer 1|" in encoder.fingerprint
    assert encoder.encode(WORDED_ALIKE).isfinite().all()


def test_an_encoder_made_of_a_language_model_is_read_as_its_folder_says(llama, tmp_path):
    (tmp_path / "llama" / "1_Pooling").mkdir()
    (tmp_path / "llama" / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    assert "|mean|" in load(llama).fingerprint


def test_a_store_of_a_language_models_last_states_from_before_layers_still_opens(llama, tmp_path, monkeypatch):
    before = TextEncoder.load(EncoderConfig(llama, **FLOAT32))
    assert "layer" not in before.fingerprint
    monkeypatch.chdir(tmp_path)
    assert encoder_of(layout_of(before), device="cpu").fingerprint == before.fingerprint


def test_the_layer_of_a_stores_vectors_is_taken_where_none_is_named(llama, tmp_path, monkeypatch):
    deep = load(llama, layer=2)
    monkeypatch.chdir(tmp_path)
    for name in (None, "llama"):
        assert encoder_of(layout_of(deep), name=name, device="cpu").fingerprint == deep.fingerprint


def test_another_layer_than_the_stores_makes_other_vectors(llama):
    deep = load(llama, layer=2)
    middle = load_encoder(EncoderConfig(llama, layer=1), like=deep.fingerprint, device="cpu")
    assert middle.fingerprint != deep.fingerprint
    assert not torch.allclose(middle.encode(["a"]), deep.encode(["a"]))


def test_a_store_of_another_model_decides_no_layer(llama):
    layout = StoreLayout("other@0123456789ab|mean of layer 30|256 tokens|float32", ("{input}",), 16)
    with pytest.raises(FingerprintMismatchError, match="mean of layer 30"):
        encoder_of(layout, name=llama, device="cpu")


def test_a_stores_language_model_is_known_by_its_name_alone():
    named = StoreLayout("smollm2@0123456789ab|mean of layer 15|256 tokens|float32", ("{input}",), 576)
    assert encoder_named_by(named).model == "smollm2"


def test_a_stores_gguf_file_is_found_where_it_lies_here_and_else_asked_for(tmp_path, monkeypatch):
    write_gguf(tmp_path / "tiny.gguf")
    layout = layout_of(load(str(tmp_path / "tiny.gguf")))
    monkeypatch.chdir(tmp_path)
    assert encoder_named_by(layout).model == "tiny.gguf"
    (tmp_path / "tiny.gguf").rename(tmp_path / "other.gguf")
    with pytest.raises(ConfigError, match=r"'tiny.gguf', which is not known by this name alone"):
        encoder_named_by(layout)


def test_a_catalog_model_that_is_not_here_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("personaplug.models.places.installed_path", lambda _: None)
    for refused in (load, lambda name: check_encoder(encoder_config(name))):
        with pytest.raises(ConfigError, match="smollm2 is not on this machine") as caught:
            refused("smollm2")
        assert caught.value.hint == "personaplug models add smollm2"


@pytest.mark.parametrize("name", ["./none", "/none/there.gguf", "none.gguf"])
def test_a_path_that_leads_nowhere_is_refused_as_one(name):
    for refused in (load, lambda name: check_encoder(encoder_config(name))):
        with pytest.raises(ConfigError, match="no such file"):
            refused(name)


def test_an_encoder_has_no_layer_to_choose(tmp_path):
    folder = tiny.save_model(tiny.text_encoder(), tmp_path / "encoder")
    with pytest.raises(ConfigError, match="is not for choosing: it is an encoder"):
        load(folder, layer=1)


def test_an_encoder_decoder_encodes_no_texts(tmp_path):
    folder = tiny.save_model(tiny.encoder_decoder(), tmp_path / "t5")
    with pytest.raises(ConfigError, match="is an encoder-decoder") as caught:
        load(folder)
    assert "smollm2" in caught.value.hint


def test_pickled_weights_of_a_language_model_are_never_read(llama, tmp_path):
    (tmp_path / "llama" / "model.safetensors").unlink()
    torch.save(tiny.decoder_only().model.state_dict(), tmp_path / "llama" / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load(llama)


def test_remote_code_is_never_run_even_where_a_person_would_agree(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    tiny.save_with_own_code(tmp_path)
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load(str(tmp_path))
    assert not (tmp_path / "ran").exists()


def test_what_is_at_hand_is_found_without_being_loaded(llama, tmp_path, monkeypatch):
    folder = tiny.save_model(tiny.text_encoder(), tmp_path / "encoder")
    monkeypatch.setattr(TextEncoder, "__init__", lambda *_, **__: pytest.fail("an encoder was loaded"))
    for name in ("minilm", llama, folder):
        check_encoder(encoder_config(name))
    with pytest.raises(ConfigError, match="the encoder 'some/other' cannot be loaded"):
        check_encoder(encoder_config("some/other"))


@pytest.mark.parametrize("name", ENCODERS)
def test_no_encoder_of_the_table_is_looked_for_to_know_its_kind(name, monkeypatch):
    monkeypatch.setattr("personaplug.plug.encoders.AutoConfig", None)
    assert not is_language_model(encoder_config(name))


@pytest.mark.parametrize(
    ("name", "pooling", "max_tokens"),
    [
        ("Alibaba-NLP/gte-modernbert-base", "cls", 8192),
        ("sentence-transformers/all-distilroberta-v1", "mean", 512),
    ],
)
def test_the_cased_encoders_are_read_as_their_cards_say(name, pooling, max_tokens):
    """Against https://huggingface.co/Alibaba-NLP/gte-modernbert-base (usage with transformers) and
    https://huggingface.co/sentence-transformers/all-distilroberta-v1 (1_Pooling/config.json, tokenizer_config.json).
    """
    config = encoder_config(name)
    assert (config.model, config.pooling, config.max_tokens, config.query_prefix) == (name, pooling, max_tokens, "")
    assert encoder_named_by(StoreLayout(f"{name.split('/')[1]}@1", ("{input}",), 768)) == config


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_cased_encoder_sees_capitals_and_punctuation(pooling):
    torch.manual_seed(0)
    settings = RobertaConfig(
        vocab_size=260, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=514, pad_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    tokenizer = tiny.byte_tokenizer(start=True, end=True)
    model = RobertaModel(settings, add_pooling_layer=False)
    assert_are_told_apart(TextEncoder(model, tokenizer, EncoderConfig(pooling=pooling, **FLOAT32)), WORDED_ALIKE)


def test_a_language_models_states_see_capitals_and_punctuation(llama):
    assert_are_told_apart(load(llama), WORDED_ALIKE)


def test_minilm_sees_no_capitals():
    small, capital, _ = load("minilm").encode(WORDED_ALIKE)
    assert torch.equal(small, capital)


def assert_are_told_apart(encoder, texts):
    vectors = encoder.encode(texts)
    alike = functional.cosine_similarity(vectors[:, None], vectors[None], dim=-1)
    assert alike[~torch.eye(len(texts), dtype=torch.bool)].max() < 0.999
