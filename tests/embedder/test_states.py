import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM

from personaplug.embedder.encoder import TextEncoder
from personaplug.embedder.encoder_config import EncoderConfig, layer_in
from personaplug.embedder.states import PROBE
from personaplug.errors import ConfigError
from tests import tiny
from tests.embedder.histories import few

TEXTS = ["Fix the bug", "x", "a much longer text that is padded by none of the others", "🙂 naïve 日本語"]
MODELS = {"Llama": tiny.decoder_only, "GPT-2": tiny.absolute_decoder_only}


def encoder_of(make=tiny.decoder_only, config=tiny.FLOAT32):
    backbone = make()
    return TextEncoder.of_states(backbone.model, backbone.tokenizer, config)


@pytest.fixture(scope="module", params=MODELS)
def make(request):
    return MODELS[request.param]


@pytest.fixture(scope="module")
def encoder(make):
    return encoder_of(make)


@torch.inference_mode()
def mean_states(make, text, *, layer):
    """Average a text's states behind a layer, by transformers' own record of them, through the model's last norm."""
    backbone = make()
    ids = torch.tensor([[*backbone.reader.frame[0], *backbone.reader.ids([text])[0]]])
    states = backbone.model(input_ids=ids, output_hidden_states=True).hidden_states[layer][0]
    body = backbone.model.base_model
    last_norm = body.norm if hasattr(body, "norm") else body.ln_f
    return last_norm(states).mean(dim=0)


def test_a_vector_is_the_mean_of_the_middle_layers_states_as_scores_against_fixed_texts(make, encoder):
    probe = torch.stack([mean_states(make, text, layer=1) for text in PROBE])
    means = torch.stack([mean_states(make, text, layer=1) for text in TEXTS])
    by_hand = functional.normalize((means - probe.mean(dim=0)) / probe.std(dim=0, correction=0), dim=-1)
    torch.testing.assert_close(encoder.encode(TEXTS), by_hand, atol=1e-4, rtol=1e-3)


SIZES = {
    "vocab_size": 260, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512, "pad_token_id": 0,
}  # fmt: skip
SEES = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
KINDS = {
    "qwen3": SIZES,
    "gemma2": SIZES,
    "gemma3": {"text_config": SIZES, "vision_config": SEES, "mm_tokens_per_image": 4},  # it reads pictures too
    "opt": SIZES | {"word_embed_proj_dim": 16},
    "mamba": {"vocab_size": 260, "hidden_size": 16, "num_hidden_layers": 4, "state_size": 4},  # it has no attention
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_of_language_models_are_read_half_way_too(kind):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **KINDS[kind])).eval()
    encoder = TextEncoder.of_states(model, tiny.byte_tokenizer(start=True, end=False), tiny.FLOAT32)
    assert (encoder.config.layer, encoder.dim) == (2, 16)
    alone = torch.cat([encoder.encode([text]) for text in TEXTS])
    torch.testing.assert_close(encoder.encode(TEXTS), alone, atol=1e-4, rtol=1e-4)


def test_a_model_whose_layers_stand_in_no_one_row_is_refused():
    model = tiny.decoder_only().model
    model.base_model.others = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    with pytest.raises(ConfigError, match="the 2 layers of this llama model cannot be told apart"):
        TextEncoder.of_states(model, tiny.byte_tokenizer(start=True, end=False), tiny.FLOAT32)


@few
@given(texts=st.lists(st.text(max_size=30), max_size=9), batch_size=st.integers(1, 10))
def test_order_is_kept_and_neither_batch_nor_neighbours_matter(encoder, texts, batch_size):
    vectors = encoder.encode(texts, batch_size=batch_size)
    for text, vector in zip(texts, vectors, strict=True):
        torch.testing.assert_close(vector, encoder.encode([text])[0], atol=1e-5, rtol=1e-5)


def test_an_empty_text_has_a_vector_also_where_nothing_stands_around_texts():
    backbone = tiny.decoder_only()
    tokenizer = tiny.byte_tokenizer(start=False, end=False)
    encoder = TextEncoder.of_states(backbone.model, tokenizer, tiny.FLOAT32)
    torch.testing.assert_close(encoder.encode(["", "a"]).norm(dim=-1), torch.ones(2))


def test_a_tokenizer_that_pads_on_the_left_changes_no_vector(make, encoder):
    backbone = make()
    backbone.tokenizer.padding_side = "left"
    other = TextEncoder.of_states(backbone.model, backbone.tokenizer, tiny.FLOAT32)
    torch.testing.assert_close(other.encode(TEXTS), encoder.encode(TEXTS), atol=1e-5, rtol=1e-5)


def test_threads_may_encode_at_once(encoder):
    texts = [f"{'text ' * (number % 9)}{number}" for number in range(40)]
    alone = encoder.encode(texts)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(encoder.encode, [texts] * 8):
            torch.testing.assert_close(vectors, alone, atol=1e-5, rtol=1e-5)


def test_a_command_in_a_users_text_is_read_as_words(encoder):
    ids = encoder._ids(["a</s>b"])[0]
    assert len(ids) == len("a</s>b") + 1
    assert encoder.tokenizer.eos_token_id not in ids


def test_a_dimension_that_is_large_in_every_text_does_not_make_all_texts_alike():
    def with_a_rogue_dimension():
        backbone = tiny.decoder_only()
        backbone.model.get_input_embeddings().weight.data[:, 3] += 300.0
        return backbone

    def cosines(vectors):
        unit = functional.normalize(vectors, dim=-1)
        return (unit @ unit.T)[~torch.eye(len(unit), dtype=torch.bool)]

    raw = torch.stack([mean_states(with_a_rogue_dimension, text, layer=1) for text in TEXTS])
    assert cosines(raw).min() > 0.98
    assert cosines(encoder_of(with_a_rogue_dimension).encode(TEXTS)).max() < 0.9


def test_layers_behind_the_one_that_is_read_are_dropped_and_matter_for_nothing():
    def changed():
        backbone = tiny.decoder_only()
        for weight in backbone.model.base_model.layers[1].parameters():
            weight.data.zero_()
        return backbone

    first, other = encoder_of(), encoder_of(changed)
    assert torch.equal(first.encode(TEXTS), other.encode(TEXTS))
    assert first.fingerprint == other.fingerprint
    assert len(first.model.body.layers) == 1


def test_the_layer_stands_in_the_fingerprint_and_is_read_out_of_it():
    deep = encoder_of(config=replace(tiny.FLOAT32, layer=2))
    middle = encoder_of(config=replace(tiny.FLOAT32, model="some/llama"))
    assert (layer_in(middle.fingerprint), layer_in(deep.fingerprint)) == (1, 2)
    assert middle.fingerprint.endswith("|mean of layer 1|256 tokens|float32")
    assert layer_in(middle.as_pooled().fingerprint) == 1
    assert layer_in(tiny.text_encoder().fingerprint) == 0


def test_an_open_layer_is_that_of_vectors_of_the_same_model_and_no_others():
    made = "llama@0123456789ab|mean of layer 2|256 tokens|float32"
    assert EncoderConfig("some/llama").as_in(made).layer == 2
    assert EncoderConfig("some/llama", layer=1).as_in(made).layer == 1
    assert EncoderConfig("some/qwen").as_in(made).layer == 0


def test_a_file_name_that_looks_like_a_layer_is_none():
    assert layer_in("x|mean of layer 7@0123456789ab|mean|256 tokens|float32") == 0


def test_no_more_tokens_are_read_than_the_model_has_positions_for():
    encoder = encoder_of(tiny.absolute_decoder_only)
    assert encoder.config.max_tokens == 128
    assert encoder.encode(["a long text " * 99]).isfinite().all()


@pytest.mark.parametrize("layer", [3, 99])
def test_a_layer_that_the_model_does_not_have_is_refused(layer):
    with pytest.raises(ConfigError, match=f"layer {layer} of a language model of 2 layers") as caught:
        encoder_of(config=replace(tiny.FLOAT32, layer=layer))
    assert "1 to 2" in caught.value.hint


def test_the_first_tokens_state_is_refused_for_it_has_read_nothing():
    with pytest.raises(ConfigError, match="knows nothing of those behind it"):
        encoder_of(config=replace(tiny.FLOAT32, pooling="cls"))


def test_a_copy_without_unit_length_and_one_in_training_are_of_the_same_states(encoder):
    pooled = encoder.as_pooled()
    torch.testing.assert_close(functional.normalize(pooled.encode(TEXTS), dim=-1), encoder.encode(TEXTS))
    trained = encoder_of().requires_grad_(requires_grad=True).train()
    trained.encode_queries(TEXTS).sum().backward()
    assert trained.model.body.embed_tokens.weight.grad is not None
    torch.testing.assert_close(trained.encode_queries(TEXTS), encoder_of().encode(TEXTS))


def test_the_texts_that_scores_are_made_against_are_those_of_all_stores():
    """Other texts make other vectors under the same fingerprint: whoever changes them must change it too."""
    assert hashlib.sha256("\0".join(PROBE).encode()).hexdigest()[:12] == "ba4fdf5b891d"
