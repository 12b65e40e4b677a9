"""A decoder-only language model's embedding table without the rest of it: all that is needed to write an input.

Where another server answers, such as vLLM, this process only puts the persona among the input's embeddings. The table
is a few per cent of the model's weights.
"""

import json
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.utils.hub import cached_file

from personaplug.backbone.base import Backbone
from personaplug.backbone.decoder_only import DecoderOnlyBackbone
from personaplug.backbone.loading import BackboneConfig, in_folder, read_settings
from personaplug.backbone.outline import outline
from personaplug.errors import ConfigError

_HINT = "serve this run with --engine local"
_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"


def load_writer_of_inputs(config: BackboneConfig, *, device: str = "cpu", positions: int | None = None) -> Backbone:
    """Load what writes a language model's inputs; of its layers, only the shapes.

    Args:
        config: Which model.
        device: Where the table stands.
        positions: Tokens of an input and its answer that the server in its place has room for; None for the model's.

    Raises:
        ConfigError: There is no such model, it is an encoder-decoder, or its embeddings are no plain table.
    """
    config = in_folder(config)
    settings = read_settings(config)
    if settings.is_encoder_decoder:
        message = f"{config.model} is an encoder-decoder: only decoder-only language models take prompt embeddings"
        raise ConfigError(message, hint=_HINT)
    if positions is not None:
        own = getattr(settings, "max_position_embeddings", positions)
        settings.max_position_embeddings = min(positions, own)
    model = _without_layers(config, settings, device=device)
    tokenizer = AutoTokenizer.from_pretrained(config.model, revision=config.revision or None, trust_remote_code=False)
    return DecoderOnlyBackbone(model, tokenizer, use_chat_template=config.wraps_inputs(tokenizer))


def _without_layers(config: BackboneConfig, settings: PreTrainedConfig, *, device: str) -> PreTrainedModel:
    """Make a model whose weights take no memory, but for its input embeddings."""
    model = outline(settings)
    table = model.get_input_embeddings()
    if type(table) is not nn.Embedding:
        message = f"the embeddings of {config.model} are a {type(table).__name__}, not a plain table"
        raise ConfigError(message, hint=_HINT)
    name = next(name for name, each in model.named_modules() if each is table)
    weight = _tensor(config, f"{name}.weight").to(device=device, dtype=config.torch_dtype(device))
    model.set_input_embeddings(nn.Embedding.from_pretrained(weight))
    return model


def _tensor(config: BackboneConfig, name: str) -> Tensor:
    """Read one tensor of a checkpoint, out of the one file that holds it."""
    names = (name, name.partition(".")[2])  # some checkpoints leave the name of the part before the first point out
    index = _file(config, _INDEX)
    shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"] if index else dict.fromkeys(names, _SINGLE)
    for found in (each for each in names if each in shards):
        file = _file(config, shards[found])
        if file is None:
            break
        with safe_open(file, framework="pt") as held:
            if found in held.keys():  # noqa: SIM118 (it is no mapping)
                tensor: Tensor = held.get_tensor(found)
                return tensor
    raise ConfigError(f"{config.model} has no {name} in safetensors files", hint=_HINT)


def _file(config: BackboneConfig, name: str) -> Path | None:
    """Find a file of a model in its folder or on the hub; None where it has none of this name."""
    found = cached_file(
        config.model, name, revision=config.revision or None, _raise_exceptions_for_missing_entries=False
    )
    return Path(found) if found else None
