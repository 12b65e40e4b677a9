"""Encoders by name, and the check that a store's vectors are theirs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from huggingface_hub.utils.tqdm import enable_progress_bars
from jaxtyping import Float
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from personaplug.embedder.encoder import BGE, EncoderConfig, TextEncoder
from personaplug.errors import FingerprintMismatchError
from personaplug.store.base import StoreLayout
from personaplug.tasks.task import Task

ENCODERS = {"minilm": EncoderConfig(), BGE.model: BGE}


def start_torch() -> str:
    """Ready torch for a command and name the device to compute on: the GPU where there is one.

    The bars of weights being loaded are switched off, those of downloads stay; of transformers' notes, errors alone.
    """
    disable_progress_bar()
    set_verbosity_error()
    enable_progress_bars()
    return "cuda" if torch.cuda.is_available() else "cpu"


def encoder_config(name: str) -> EncoderConfig:
    """Choose an encoder's settings: those it was trained with where we know them, else mean pooling."""
    return ENCODERS.get(name, EncoderConfig(model=name))


def build_encoder(name: str) -> TextEncoder:
    """Load an encoder by name.

    Raises:
        ConfigError: No such encoder is at hand.
    """
    return TextEncoder.load(encoder_config(name), device=start_torch()).freeze()


def encoder_of(layout: StoreLayout, *, name: str | None = None) -> TextEncoder:
    """Load the encoder that made a store's vectors.

    Args:
        layout: The store's.
        name: As given to ``index``; None to read it out of the store's fingerprint, which has no folders in it.

    Raises:
        ConfigError: No such encoder is at hand.
        FingerprintMismatchError: It made other vectors.
    """
    model, _, _ = layout.fingerprint.partition("@")
    encoder = build_encoder(name or next((known for known in ENCODERS if Path(known).name == model), model))
    if encoder.fingerprint != layout.fingerprint:
        raise FingerprintMismatchError(
            f"the store's vectors were made by encoder {layout.fingerprint!r}, not by {encoder.fingerprint!r}",
            hint="name with --encoder what the store was indexed with",
        )
    return encoder


def layout_of(encoder: TextEncoder, task: Task) -> StoreLayout:
    """Say what a store holds that this encoder fills for this task."""
    return StoreLayout(encoder.fingerprint, task.views, encoder.dim)


def encode_with(encoder: TextEncoder) -> Callable[[Sequence[str]], Float[np.ndarray, "texts dim"]]:
    """Give the encoder's verb as rooms without torch know it."""
    return lambda texts: encoder.encode(texts).numpy()
