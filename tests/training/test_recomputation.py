import pytest
import torch
from torch import nn
from transformers import BartConfig, BartForConditionalGeneration
from transformers.modeling_layers import GradientCheckpointingLayer

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.encoder_decoder import EncoderDecoderBackbone
from personaplug.training.recomputation import recomputing
from tests import tiny


def bart():
    """A BART, whose layers have dropout in their own forward pass."""
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=260, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, pad_token_id=0, eos_token_id=2,
        decoder_start_token_id=2, forced_eos_token_id=None, dropout=0.3, attention_dropout=0.3, activation_dropout=0.3,
    )  # fmt: skip
    return EncoderDecoderBackbone(BartForConditionalGeneration(config), tiny.byte_tokenizer(start=True, end=True))


@pytest.fixture(params=[*tiny.FAMILIES.values(), bart], ids=[*tiny.FAMILIES, "bart"])
def backbone(request):
    return request.param()


def loss_and_gradient(backbone):
    prefix = torch.randn(2, 3, backbone.dim, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = backbone.loss(backbone.embed(["a", "a longer one"]).with_prefix(prefix), ["yes", "no"])
    loss.backward()
    return loss.detach(), prefix.grad


def test_recomputing_gives_the_same_loss_and_gradient(backbone):
    plain = loss_and_gradient(backbone)
    with recomputing(backbone.model, enabled=True):
        recomputed = loss_and_gradient(backbone)
    torch.testing.assert_close(recomputed, plain)


@pytest.mark.parametrize("enabled", [True, False])
def test_layers_compute_twice_only_where_it_is_asked_for(backbone, enabled):
    layers = [module for module in backbone.model.modules() if isinstance(module, GradientCheckpointingLayer)]
    computed = []
    for layer in layers:
        inside = next(module for module in layer.modules() if isinstance(module, nn.Linear))
        inside.register_forward_hook(lambda *_: computed.append(1))
    with recomputing(backbone.model, enabled=enabled):
        loss_and_gradient(backbone)
    assert len(computed) == len(layers) * (2 if enabled else 1) > 0


def test_afterwards_the_model_answers_as_before(backbone):
    config = GenerationConfig(max_new_tokens=6)
    before = backbone.generate(backbone.embed(["what is it"]), config)
    with recomputing(backbone.model, enabled=True):
        loss_and_gradient(backbone)
    assert not any(module.training for module in backbone.model.modules())
    assert backbone.generate(backbone.embed(["what is it"]), config) == before


def test_an_error_inside_leaves_the_model_in_evaluation_mode(backbone):
    with pytest.raises(KeyboardInterrupt), recomputing(backbone.model, enabled=True):
        raise KeyboardInterrupt
    assert not any(module.training for module in backbone.model.modules())
