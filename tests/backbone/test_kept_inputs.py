import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from personaplug.backbone.decoder_only import DecoderOnlyBackbone
from personaplug.backbone.kept_inputs import KeptInputs
from tests import tiny

ASKED = ["a", "what is this?", "and a longer one than that", ""]
ANSWERS = ["yes", "a thing", "no", "well, perhaps"]
DECODERS = {"llama": tiny.decoder_only, "gpt2": tiny.absolute_decoder_only}


def loss_and_gradient(backbone, texts, *, seed=0):
    vectors = torch.randn(len(texts), 3, backbone.dim, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    targets = [ANSWERS[ASKED.index(text)] for text in texts]
    loss = backbone.loss(backbone.embed(texts).with_prefix(vectors, place="after"), targets)
    return [loss.detach(), *torch.autograd.grad(loss, [vectors])]


def keeping(backbone, texts, *, budget=10**9):
    backbone.kept = KeptInputs(budget)
    for text in texts:  # one by one: kept without padding, whatever batch they will stand in
        backbone.keep(backbone.embed([text]))
    return backbone.kept


def count_read(backbone, monkeypatch):
    """Count the inputs that the model reads without gradients."""
    own, read = backbone.model.forward, []

    def forward(**given):
        if not torch.is_grad_enabled():
            read.append(len(given["inputs_embeds"]))
        return own(**given)

    monkeypatch.setattr(backbone.model, "forward", forward)
    return read


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("kept", [ASKED, ASKED[:1], ASKED[1:3], []])
def test_a_step_on_kept_inputs_has_the_loss_and_gradients_of_one_that_reads_them(name, kept, monkeypatch):
    backbone = DECODERS[name]()
    batches = [ASKED, ASKED[::-1], ASKED[1:], ASKED[:1]]
    expected = [loss_and_gradient(backbone, texts) for texts in batches]
    keeping(backbone, kept)
    read = count_read(backbone, monkeypatch)
    for texts, others in zip(batches, expected, strict=True):
        for one, other in zip(loss_and_gradient(backbone, texts), others, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert sum(read) == sum(text not in kept for texts in batches for text in texts)
    assert backbone.kept.found == sum(text in kept for texts in batches for text in texts)


def test_what_is_kept_never_takes_more_than_its_budget_and_stays():
    backbone = tiny.decoder_only()
    each = [keeping(backbone, [text]).bytes for text in ASKED]
    kept = keeping(backbone, ASKED, budget=each[0] + each[1])
    assert (kept.bytes, len(kept), kept.is_full) == (each[0] + each[1], 2, True)
    assert keeping(backbone, ASKED, budget=sum(each)).is_full is False
    assert len(keeping(backbone, ASKED, budget=0)) == 0


def test_an_input_that_comes_twice_is_kept_once():
    backbone = tiny.decoder_only()
    assert keeping(backbone, ["a", "a"]).bytes == keeping(backbone, ["a"]).bytes


def test_a_word_more_or_less_is_another_input(monkeypatch):
    backbone = tiny.decoder_only()
    keeping(backbone, ASKED)
    read = count_read(backbone, monkeypatch)
    backbone.loss(backbone.embed(["a b"]).with_prefix(torch.zeros(1, 2, backbone.dim), place="after"), ["x"])
    assert read == [1]


def test_nothing_is_kept_of_a_model_that_looks_back_so_far_and_no_further():
    """Its layers keep the last tokens alone, by places that padding moves."""
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=260, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=128, sliding_window=4, pad_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    backbone = DecoderOnlyBackbone(MistralForCausalLM(config), tiny.byte_tokenizer(start=True, end=False))
    expected = loss_and_gradient(backbone, ASKED)
    assert len(keeping(backbone, ASKED)) == 0
    for one, other in zip(loss_and_gradient(backbone, ASKED), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_an_encoder_decoder_keeps_nothing():
    assert len(keeping(tiny.encoder_decoder(), ASKED)) == 0
