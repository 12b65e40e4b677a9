"""Load a backbone by name: one of the catalog, one of Hugging Face, a folder, or a GGUF file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from personaplug.backbone.base import Backbone
from personaplug.backbone.completeness import load_whole
from personaplug.backbone.decoder_only import DecoderOnlyBackbone
from personaplug.backbone.encoder_decoder import EncoderDecoderBackbone
from personaplug.backbone.gguf import find_gguf
from personaplug.backbone.gguf_copy import copy_of, read_gguf, read_gguf_settings
from personaplug.config import option
from personaplug.errors import ConfigError, MissingExtraError
from personaplug.models.catalog import DEFAULT
from personaplug.models.places import located

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """Which frozen language model answers."""

    model: str = option(DEFAULT, f"{DEFAULT}, a Hugging Face name or folder, or a .gguf file")
    revision: str = option("", "branch, tag or commit on the hub; empty for the default")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = option("auto", "auto: bfloat16 on a GPU, else float32")
    quantization: Literal["none", "8bit", "4bit"] = option("none", "needs a GPU and the extra: quantized")
    use_chat_template: bool | Literal["auto"] = option(
        "auto", "wrap inputs as a user's turn; auto: where the model's tokenizer has a chat template"
    )

    def torch_dtype(self, device: str) -> torch.dtype:
        """Settle the precision for a device."""
        if self.dtype == "auto":
            return torch.bfloat16 if device.startswith("cuda") else torch.float32
        kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
        return kinds[self.dtype]

    def wraps_inputs(self, tokenizer: PreTrainedTokenizerBase) -> bool:
        """Settle whether inputs stand in the tokenizer's chat template.

        Raises:
            ConfigError: They should, and it has none.
        """
        has_template = bool(tokenizer.chat_template)
        if self.use_chat_template == "auto":
            return has_template
        if self.use_chat_template and not has_template:
            raise ConfigError(
                f"the tokenizer of {self.model!r} has no chat template",
                hint="--set backbone.use_chat_template=auto",
            )
        return self.use_chat_template


def load_backbone(config: BackboneConfig, *, device: str = "cpu") -> Backbone:
    """Load a language model and freeze it. Remote code is never run, pickled weights are never read.

    Raises:
        ConfigError: No such model is at hand, or it answers no text.
        MissingExtraError: Quantized loading without bitsandbytes.
    """
    config = replace(config, model=located(config.model))
    dtype = config.torch_dtype(device)
    log.info("language model %s in %s on %s", config.model, dtype, device)
    with _refusing(config):
        file = find_gguf(config.model)
        return _load_gguf(file, config, device=device) if file else _load_from_hub(config, device=device)


def read_settings(config: BackboneConfig) -> PreTrainedConfig:
    """Read what a language model says of itself; one of Hugging Face without its weights.

    Raises:
        ConfigError: No such model is at hand.
    """
    config = replace(config, model=located(config.model))
    with _refusing(config):
        if file := find_gguf(config.model):
            return read_gguf_settings(file)
        settings: PreTrainedConfig = AutoConfig.from_pretrained(
            config.model, revision=config.revision or None, trust_remote_code=False
        )
        return settings


@contextmanager
def _refusing(config: BackboneConfig) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the language model {config.model!r} cannot be loaded: {str(error).splitlines()[0]}",
            hint=f"give {DEFAULT}, a Hugging Face name such as google/flan-t5-base, the folder of a model, or a .gguf "
            "file",
        ) from error


def in_folder(config: BackboneConfig) -> BackboneConfig:
    """Name a GGUF file's model by the folder of its converted copy; any other stays as it is.

    Raises:
        ConfigError: The file holds no model that can be read, or its copy cannot be kept.
    """
    config = replace(config, model=located(config.model))
    with _refusing(config):
        file = find_gguf(config.model)
        if file is None:
            return config
        copy = copy_of(file)
    if copy is None:
        raise ConfigError(
            f"no converted copy of {config.model!r} can be kept", hint="point PERSONAPLUG_CACHE to a disk with room"
        )
    return replace(config, model=str(copy), revision="")


def _load_gguf(file: Path, config: BackboneConfig, *, device: str) -> Backbone:
    if config.quantization != "none":
        raise ConfigError(
            f"{config.model!r} is a GGUF file, whose weights are quantized already",
            hint="--set backbone.quantization=none",
        )
    if copy := copy_of(file):
        return _load_from_hub(config, device=device, copy=copy)
    model, tokenizer = read_gguf(file, dtype=config.torch_dtype(device), device=device)
    return _backbone(model, tokenizer, config)


def _load_from_hub(config: BackboneConfig, *, device: str, copy: Path | None = None) -> Backbone:
    dtype, name = config.torch_dtype(device), str(copy or config.model)
    source = {"revision": None if copy else config.revision or None, "trust_remote_code": False}
    settings = AutoConfig.from_pretrained(name, **source)
    how = {"dtype": dtype, "device_map": device, "quantization_config": _quantization(config, dtype)}
    model = load_whole(
        config.model, settings, pretrained_model_name_or_path=name, use_safetensors=True, **how, **source
    )
    return _backbone(model, AutoTokenizer.from_pretrained(name, **source), config)


def _backbone(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: BackboneConfig) -> Backbone:
    family = EncoderDecoderBackbone if model.config.is_encoder_decoder else DecoderOnlyBackbone
    return family(model, tokenizer, use_chat_template=config.wraps_inputs(tokenizer))


def _quantization(config: BackboneConfig, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    if config.quantization == "none":
        return None
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError(f"{config.quantization} loading", extra="quantized")
    if config.quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=dtype, bnb_4bit_quant_type="nf4")
