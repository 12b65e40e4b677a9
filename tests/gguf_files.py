"""Tiny GGUF files, written with the package of llama.cpp: a random model and a tokenizer of bytes."""

import gguf
import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from tests.tiny import SPECIAL

CHAT = "{% for turn in messages %}<s>{{ turn.content }}</s>{% endfor %}"
DIM, HEADS, LAYERS = 32, 2, 2
PIECES = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), "th"]
_MAPS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
}  # fmt: skip
CONFIGS = {"llama": LlamaConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config}
"""By the names that files give architectures."""


def random_model(architecture="llama", *, head_dim=None):
    """Make a random model of 32 dimensions; of a Qwen3, transformers takes heads to have 128, whatever a file says."""
    torch.manual_seed(0)
    config = CONFIGS[architecture](
        vocab_size=len(PIECES), hidden_size=DIM, intermediate_size=64, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=512, initializer_range=0.5,
        rms_norm_eps=1e-5, pad_token_id=0, bos_token_id=1, eos_token_id=2, tie_word_embeddings=True,
        head_dim=head_dim or (128 if architecture == "qwen3" else DIM // HEADS),
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config).eval()


def write_gguf(path, model=None, *, packed=False, chat=None, architecture="llama", parts=1, leave_out=()):
    """Write a model as a GGUF file; give the tensors as they are in it, unpacked.

    Args:
        path: The file.
        model: A model of :func:`random_model`; None for a new one.
        packed: Store the linear maps as Q8_0.
        chat: The chat template.
        architecture: What the file says that it holds; a new model is of that, where it is one of :data:`CONFIGS`.
        parts: How many files it says that it is one of.
        leave_out: Names of tensors that the file lacks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    model = model or random_model(architecture if architecture in CONFIGS else "llama")
    _describe(writer, head_dim=model.config.head_dim, chat=chat)
    if parts > 1:
        writer.add_uint16("split.count", parts)
    kept = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" or name in leave_out:  # tied to the embeddings
            continue
        is_turned = model.config.model_type == "llama"
        kept[name] = _add(writer, name, tensor.numpy(), packed=packed and tensor.ndim == 2, is_turned=is_turned)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return kept


def _describe(writer, *, head_dim, chat):
    writer.add_context_length(512)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(DIM)
    writer.add_feed_forward_length(64)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(PIECES))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(PIECES)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if piece in SPECIAL else normal for piece in PIECES])
    writer.add_token_merges(["t h"])
    writer.add_pad_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(3)
    if chat:
        writer.add_chat_template(chat)


def _add(writer, name, values, *, packed, is_turned):
    known = _name_in_file(name)
    stored = _interleaved(values) if is_turned and ("attn_q." in known or "attn_k." in known) else values
    if not packed:
        writer.add_tensor(known, stored)
        return torch.from_numpy(values)
    kind = gguf.GGMLQuantizationType.Q8_0
    blocks = gguf.quants.quantize(stored, kind)
    writer.add_tensor(known, blocks, raw_dtype=kind)
    unpacked = gguf.quants.dequantize(blocks, kind)
    return torch.from_numpy(_apart(unpacked) if stored is not values else unpacked)


def _name_in_file(name):
    if not name.startswith("model.layers."):
        return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
    layer, _, rest = name.removeprefix("model.layers.").partition(".")
    place, _, kind = rest.rpartition(".")
    return f"blk.{layer}.{_MAPS[place]}.{kind}"


def _interleaved(values):
    """Order the rows of a Llama's queries and keys as llama.cpp wants them (``LlamaModel.permute``, its converter)."""
    return values.reshape(HEADS, 2, len(values) // HEADS // 2, -1).swapaxes(1, 2).reshape(values.shape)


def _apart(values):
    return values.reshape(HEADS, len(values) // HEADS // 2, 2, -1).swapaxes(1, 2).reshape(values.shape)
