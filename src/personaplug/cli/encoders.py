"""Encoders by name, and the check that a store's vectors are theirs."""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils.tqdm import enable_progress_bars
from jaxtyping import Float
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from personaplug.embedder.encoder import BGE, EncoderConfig, TextEncoder, named_in
from personaplug.errors import ConfigError, FingerprintMismatchError
from personaplug.store.base import StoreLayout

ENCODERS = {
    "minilm": EncoderConfig(),
    **{name: replace(BGE, model=name) for name in (BGE.model, "BAAI/bge-small-en-v1.5", "BAAI/bge-large-en-v1.5")},
}

_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1  # as in glibc's malloc.h


def start_torch() -> str:
    """Ready torch for a command and name the device to compute on: the GPU where there is one.

    Of the processes that ``torchrun`` starts on one machine each takes the GPU of its own number, as the trainer does.
    The bars of weights being loaded are switched off, those of downloads stay; of transformers' notes, errors alone.
    """
    disable_progress_bar()
    set_verbosity_error()
    enable_progress_bars()
    if torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    _keep_freed_memory()
    return "cpu"


def _keep_freed_memory() -> None:
    """Let glibc keep large buffers that are freed, rather than have the kernel empty new ones at every step.

    Measured on two cores: 10 to 12% less CPU time in a short training, start-up included, and the same peak memory.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc has it, musl has not
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def encoder_config(name: str) -> EncoderConfig:
    """Choose an encoder's settings: those it was trained with where we know them, else what its folder says."""
    return ENCODERS.get(name, EncoderConfig(model=name))


def build_encoder(name: str, *, like: StoreLayout | None = None) -> TextEncoder:
    """Load an encoder by name; a precision left open is that of a store's vectors, where there is a store.

    Raises:
        ConfigError: No such encoder is at hand.
    """
    config = encoder_config(name)
    return TextEncoder.load(config.as_in(like.fingerprint) if like else config, device=start_torch()).freeze()


def encoder_of(layout: StoreLayout, *, name: str | None = None) -> TextEncoder:
    """Load the encoder that made a store's vectors.

    Args:
        layout: The store's.
        name: As given to ``index``; None to read it out of the store's fingerprint, which has no folders in it.

    Raises:
        ConfigError: No such encoder is at hand.
        FingerprintMismatchError: It made other vectors.
    """
    encoder = build_encoder(name or encoder_named_by(layout).model, like=layout)
    if encoder.fingerprint != layout.fingerprint:
        raise FingerprintMismatchError(
            f"the store's vectors were made by encoder {layout.fingerprint!r}, not by {encoder.fingerprint!r}",
            hint="name with --encoder what the store was indexed with",
        )
    return encoder


def encoder_named_by(layout: StoreLayout, *, instead_of: EncoderConfig | None = None) -> EncoderConfig:
    """Say which encoder made a store's vectors, without a network.

    Args:
        layout: The store's; its fingerprint holds a model's name without what stands before the last slash.
        instead_of: The encoder that would else be taken; it is the answer where it has this name.

    Raises:
        ConfigError: The name is that of no encoder at hand.
    """
    model = named_in(layout.fingerprint)
    if instead_of and Path(instead_of.model).name == model:
        return instead_of
    known = next((known for known in ENCODERS if Path(known).name == model), model)
    if known == model and model not in ENCODERS and not _is_at_hand(model):
        raise ConfigError(
            f"the store was indexed with an encoder {model!r}, which is not known by this name alone",
            hint=f"name it as it was given to index: --encoder .../{model}",
        )
    return encoder_config(known)


def _is_at_hand(name: str) -> bool:
    """Tell whether there is a folder of this name, or a download."""
    try:
        return Path(name).is_dir() or isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError:  # no name that the hub would have
        return False


def encode_with(encoder: TextEncoder) -> Callable[[Sequence[str]], Float[np.ndarray, "texts dim"]]:
    """Give the encoder's verb as rooms without torch know it."""
    return lambda texts: encoder.encode(texts).numpy()
