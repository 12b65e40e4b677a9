"""Load a backbone by name: the embedded ``nano``, a model of the catalog, a Hugging Face model, or a folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Literal

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from personaplug.config import option
from personaplug.errors import ConfigError, MissingExtraError
from personaplug.models.places import located
from personaplug.nano import load_nano
from personaplug.plug.backbone import Backbone
from personaplug.plug.decoder_only import DecoderOnlyBackbone
from personaplug.plug.encoder_decoder import EncoderDecoderBackbone

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """Which frozen language model answers."""

    model: str = option("nano", "a Hugging Face name or folder; nano comes with personaplug")
    revision: str = option("", "branch, tag or commit on the hub; empty for the default")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = option("auto", "auto: bfloat16 on a GPU, else float32")
    quantization: Literal["none", "8bit", "4bit"] = option("none", "needs a GPU and the extra: quantized")
    use_chat_template: bool = option(False, "wrap inputs as a user's turn, for instruction-tuned models")

    def torch_dtype(self, device: str) -> torch.dtype:
        """Settle the precision for a device."""
        if self.dtype == "auto":
            return torch.bfloat16 if device.startswith("cuda") else torch.float32
        kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
        return kinds[self.dtype]


def load_backbone(config: BackboneConfig, *, device: str = "cpu") -> Backbone:
    """Load a language model and freeze it. Remote code is never run, pickled weights are never read.

    Raises:
        ConfigError: No such model is at hand, or it answers no text.
        MissingExtraError: Quantized loading without bitsandbytes.
    """
    config = replace(config, model=located(config.model))
    dtype = config.torch_dtype(device)
    log.info("language model %s in %s on %s", config.model, dtype, device)
    if config.model == "nano":
        nano = load_nano(dtype=dtype)
        model: PreTrainedModel = nano.model.to(device)  # type: ignore[arg-type]  # torch's own signature is lost
        return EncoderDecoderBackbone(model, nano.tokenizer)
    with _refusing(config):
        return _load_from_hub(config, dtype=dtype, device=device)


def read_settings(config: BackboneConfig) -> PreTrainedConfig:
    """Read what a language model says of itself; one of Hugging Face without its weights.

    Raises:
        ConfigError: No such model is at hand.
    """
    config = replace(config, model=located(config.model))
    if config.model == "nano":
        return load_nano().model.config
    with _refusing(config):
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
            hint="give nano, a Hugging Face model name such as google/flan-t5-base, or the folder of a model",
        ) from error


def _load_from_hub(config: BackboneConfig, *, dtype: torch.dtype, device: str) -> Backbone:
    source = {"revision": config.revision or None, "trust_remote_code": False}
    settings = read_settings(config)
    tokenizer = AutoTokenizer.from_pretrained(config.model, **source)
    kind = AutoModelForSeq2SeqLM if settings.is_encoder_decoder else AutoModelForCausalLM
    model: PreTrainedModel = kind.from_pretrained(
        config.model,
        dtype=dtype,
        use_safetensors=True,
        device_map=device,
        quantization_config=_quantization(config, dtype),
        **source,
    )
    family = _family(settings)
    return family(model, tokenizer, use_chat_template=config.use_chat_template)


def _family(settings: PreTrainedConfig) -> type[Backbone]:
    return EncoderDecoderBackbone if settings.is_encoder_decoder else DecoderOnlyBackbone


def _quantization(config: BackboneConfig, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    if config.quantization == "none":
        return None
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError(f"{config.quantization} loading", extra="quantized")
    if config.quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=dtype, bnb_4bit_quant_type="nf4")
