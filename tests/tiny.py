"""Tiny models of both families and a tiny encoder, built in code: nothing is downloaded, everything is seeded.

Their weights are larger than is usual for fresh ones, so that a wrong mask, place or prefix shows in what they answer.
"""

import json
from pathlib import Path
from string import ascii_letters as printable

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertLMHeadModel,
    BertModel,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from personaplug.backbone.base import Backbone
from personaplug.backbone.decoder_only import DecoderOnlyBackbone
from personaplug.backbone.encoder_decoder import EncoderDecoderBackbone
from personaplug.embedder.encoder import EncoderConfig, TextEncoder

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
CHAT_TEMPLATE = '<s>{% for turn in messages %}[{{ turn.content }}]{% endfor %}{{ "!" if add_generation_prompt }}'
FLOAT32 = EncoderConfig(precision="float32")


def byte_tokenizer(*, start: bool, end: bool, chats: bool = False) -> PreTrainedTokenizerFast:
    """One token a byte; optionally a start token before, an end token after every input, and a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: at for at, piece in enumerate([*SPECIAL, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    single = [*(["<s>"] if start else []), "$A", *(["</s>"] if end else [])]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 1), ("</s>", 2)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    fast.chat_template = CHAT_TEMPLATE if chats else None
    return fast


def encoder_decoder(*, use_chat_template: bool = False) -> Backbone:
    """A T5 of 16 dimensions."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=260, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=2, feed_forward_proj="gated-gelu", dropout_rate=0.1, tie_word_embeddings=False,
        initializer_factor=1.4,
    )  # fmt: skip
    tokenizer = byte_tokenizer(start=False, end=True, chats=use_chat_template)
    model = writing_ascii(T5ForConditionalGeneration(config), tokenizer)
    return EncoderDecoderBackbone(model, tokenizer, use_chat_template=use_chat_template)


def decoder_only(*, use_chat_template: bool = False) -> Backbone:
    """A Llama of 16 dimensions."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=260, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=512, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        initializer_range=0.5, attention_dropout=0.1,
    )  # fmt: skip
    tokenizer = byte_tokenizer(start=True, end=False, chats=use_chat_template)
    model = writing_ascii(LlamaForCausalLM(config), tokenizer)
    return DecoderOnlyBackbone(model, tokenizer, use_chat_template=use_chat_template)


def joined_encoder_decoder() -> Backbone:
    """A BERT that reads and a BERT that writes, of 16 dimensions each, joined into one model."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 260, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "max_position_embeddings": 512, "initializer_range": 0.5}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    encoder = BertModel(BertConfig(**sizes, **special), add_pooling_layer=False)
    decoder = BertLMHeadModel(BertConfig(**sizes, **special, is_decoder=True, add_cross_attention=True))
    tokenizer = byte_tokenizer(start=True, end=True)
    return EncoderDecoderBackbone(writing_ascii(_joined(encoder, decoder), tokenizer), tokenizer)


def _joined(encoder: BertModel, decoder: BertLMHeadModel) -> EncoderDecoderModel:
    special = {"decoder_start_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = EncoderDecoderConfig.from_encoder_decoder_configs(encoder.config, decoder.config, **special)
    model = EncoderDecoderModel(config=config, encoder=encoder, decoder=decoder)
    model.generation_config.update(bos_token_id=1, **special)
    model.decoder.tie_weights()
    return model.eval()


def absolute_decoder_only() -> Backbone:
    """A GPT-2 of 16 dimensions, which knows each token's place by its number, where Llama knows distances alone."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=260, n_embd=16, n_layer=2, n_head=2, n_positions=128, initializer_range=0.5,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    tokenizer = byte_tokenizer(start=True, end=False)
    return DecoderOnlyBackbone(writing_ascii(GPT2LMHeadModel(config), tokenizer), tokenizer)


def writing_ascii(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """Keep a model from writing bytes that are no text alone, so that different answers look different."""
    pieces = enumerate(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    model.generation_config.suppress_tokens = [at for at, piece in pieces if piece not in {"</s>", "Ġ", *printable}]
    return model


FAMILIES = {"encoder-decoder": encoder_decoder, "decoder-only": decoder_only}


def text_encoder(config: EncoderConfig = FLOAT32, *, seed: int = 0) -> TextEncoder:
    """A BERT of 16 dimensions."""
    torch.manual_seed(seed)
    settings = BertConfig(
        vocab_size=260, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=512, pad_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    tokenizer = byte_tokenizer(start=True, end=True)
    return TextEncoder(BertModel(settings, add_pooling_layer=False), tokenizer, config)


def save_model(model: Backbone | TextEncoder, folder: Path) -> str:
    """Save a model and its tokenizer as a Hugging Face folder, whose path is returned: a name to load it by."""
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return str(folder)


def save_with_own_code(folder: Path) -> None:
    """Save a folder that asks its loader to run code of its own, which would leave a file ``ran`` behind."""
    own = {"AutoConfig": "own.Own", "AutoModel": "own.Own", "AutoModelForCausalLM": "own.Own"}
    (folder / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": own}))
    (folder / "own.py").write_text(f"from pathlib import Path\nPath({str(folder / 'ran')!r}).touch()\n")
