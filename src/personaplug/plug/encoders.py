"""One function for each need of an encoder: its settings, itself, and the one that made vectors which are there.

What takes a language model's own states for vectors is an encoder like any other: it has a language model's name.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from jaxtyping import Float
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from personaplug.backbone.gguf import find_gguf, is_gguf
from personaplug.backbone.loading import BackboneConfig, load_backbone, read_settings
from personaplug.embedder.encoder import BGE, EncoderConfig, TextEncoder
from personaplug.embedder.encoder_config import layer_in, named_in
from personaplug.embedder.pooling import pooling_file
from personaplug.errors import ConfigError, FingerprintMismatchError
from personaplug.models.catalog import CATALOG
from personaplug.models.places import check_is_there
from personaplug.store.base import StoreLayout
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Task

ENCODERS = {
    "minilm": EncoderConfig(),
    **{name: replace(BGE, model=name) for name in (BGE.model, "BAAI/bge-small-en-v1.5", "BAAI/bge-large-en-v1.5")},
    # Cased: they read capitals, where those above read lower case alone.
    "Alibaba-NLP/gte-modernbert-base": EncoderConfig("Alibaba-NLP/gte-modernbert-base", pooling="cls", max_tokens=8192),
    "sentence-transformers/all-distilroberta-v1": EncoderConfig(
        "sentence-transformers/all-distilroberta-v1", pooling="mean", max_tokens=512
    ),
}
"""By name, with the settings of the model's card: https://huggingface.co/ and its name."""

_WRITERS = frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
"""Classes of models that predict the next token, as ``config.json`` names them."""


def encoder_config(name: str) -> EncoderConfig:
    """Choose an encoder's settings: those it was trained with where we know them, else what its folder says.

    A language model's name, folder or GGUF file stands for its own states.
    """
    return ENCODERS.get(name, EncoderConfig(model=name))


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
    if known == model and model not in {*ENCODERS, *CATALOG} and not _is_at_hand(model):
        raise ConfigError(
            f"the store was indexed with an encoder {model!r}, which is not known by this name alone",
            hint=f"name it as it was given to index: --encoder .../{model}",
        )
    return encoder_config(known)


def load_encoder(config: EncoderConfig, *, like: str = "", device: str) -> TextEncoder:
    """Load an encoder, frozen.

    Args:
        config: Which.
        like: The fingerprint of vectors that are there: what is open, such as the precision, is as theirs. Empty where
            there are none.
        device: Where to compute.

    Raises:
        ConfigError: No such encoder is at hand.
    """
    config = config.as_in(like) if like else config
    if _has_states(config, like=like):
        backbone = load_backbone(_as_backbone(config), device=device)
        return TextEncoder.of_states(backbone.model, backbone.tokenizer, config).freeze()
    if config.layer:
        raise ConfigError(
            f"the layer of {config.model!r} is not for choosing: it is an encoder",
            hint="leave the layer out, or name a language model such as smollm2",
        )
    return TextEncoder.load(config, device=device).freeze()


def check_encoder(config: EncoderConfig) -> None:
    """Refuse an encoder that is not at hand, without loading it.

    Raises:
        ConfigError: It is not.
    """
    if config.model == "minilm":
        return
    if is_language_model(config):
        read_settings(_as_backbone(config))
        return
    try:
        AutoConfig.from_pretrained(config.model, revision=config.revision or None, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the encoder {config.model!r} cannot be loaded: {str(error).splitlines()[0]}",
            hint="give minilm, a Hugging Face model name, or the folder of a model",
        ) from error


def is_language_model(config: EncoderConfig) -> bool:
    """Tell whether an encoder's name is that of a decoder-only language model, by what its folder says.

    One that sentence-transformers made an encoder of says how it pools, and is taken for what it was made.

    Raises:
        ConfigError: The name is a path that leads nowhere.
    """
    check_is_there(config.model)
    if config.model in CATALOG or find_gguf(config.model):
        return True
    if config.model in ENCODERS:
        return False
    try:
        settings = AutoConfig.from_pretrained(config.model, revision=config.revision or None, trust_remote_code=False)
    except (OSError, ValueError):  # nothing that could be loaded: loading says why
        return False
    writes = _WRITERS.intersection(settings.architectures or ())
    return bool(writes) and not pooling_file(config.model, revision=config.revision)


def encoder_of(layout: StoreLayout, *, name: str | None = None, device: str) -> TextEncoder:
    """Load the encoder that made a store's vectors, for whichever task.

    Args:
        layout: The store's.
        name: As given to ``index``; None to read it out of the store's fingerprint, which has no folders in it.
        device: Where to compute.

    Raises:
        ConfigError: No such encoder is at hand.
        FingerprintMismatchError: It made other vectors.
    """
    config = encoder_config(name) if name else encoder_named_by(layout)
    encoder = load_encoder(config, like=layout.fingerprint, device=device)
    if encoder.fingerprint != layout.fingerprint:
        raise FingerprintMismatchError(
            f"the store's vectors were made by encoder {layout.fingerprint!r}, not by {encoder.fingerprint!r}",
            hint="name with --encoder what the store was indexed with",
        )
    return encoder


def encoder_of_store(config: EncoderConfig, task: Task, *, store: PersonaStore, device: str) -> TextEncoder:
    """Load a run's encoder, which must have made a store's vectors of a task's items.

    Raises:
        FingerprintMismatchError: The store's vectors are another encoder's or task's.
    """
    made_by = named_in(store.layout.fingerprint)
    if Path(config.model).name != made_by:  # said before a model is looked for that is of no use
        raise FingerprintMismatchError(
            f"{store.path}: its vectors were made by the encoder {made_by!r}, not by {config.model!r}",
            hint="name with --encoder what the store was indexed with, or index the log into a new one",
        )
    encoder = load_encoder(config, like=store.layout.fingerprint, device=device)
    check_layout(encoder, task, store=store)
    return encoder


def encoder_of_run(config: EncoderConfig, *, fingerprint: str, folder: Path, device: str) -> TextEncoder:
    """Load the encoder that a run's training began from.

    Args:
        config: Which.
        fingerprint: What it had then.
        folder: The run's, for the error.
        device: Where to compute.

    Raises:
        FingerprintMismatchError: It is another one by now.
    """
    encoder = load_encoder(config, like=fingerprint, device=device)
    if encoder.fingerprint != fingerprint:
        raise FingerprintMismatchError(
            f"{folder} was trained from encoder {fingerprint!r}, not from {encoder.fingerprint!r}",
            hint=f"bring the former {encoder.config.model!r} back, or train anew",
        )
    return encoder


def check_layout(encoder: TextEncoder, task: Task, *, store: PersonaStore) -> None:
    """Refuse a store whose vectors are not this encoder's for this task, in the form that the task has here.

    Raises:
        FingerprintMismatchError: They are another's.
    """
    wanted = StoreLayout(encoder.fingerprint, task.views, encoder.dim)
    wanted.check(store.layout, where=str(store.path), hint=_other_form(task, store))


def encode_with(encoder: TextEncoder) -> Callable[[Sequence[str]], Float[np.ndarray, "texts dim"]]:
    """Give the encoder's verb as rooms without torch know it."""
    return lambda texts: encoder.encode(texts).numpy()


def _has_states(config: EncoderConfig, *, like: str) -> bool:
    """Tell whether vectors are a language model's states; where there are some of this model, as they are.

    Stores from before there were layers hold a language model's last states, read as any encoder's.
    """
    if like and named_in(like) == config.name:
        return layer_in(like) > 0
    return is_language_model(config)


def _as_backbone(config: EncoderConfig) -> BackboneConfig:
    return BackboneConfig(config.model, config.revision, dtype="float32", use_chat_template=False)


def _is_at_hand(name: str) -> bool:
    """Tell whether there is a folder or GGUF file of this name, or a download."""
    try:
        return (
            Path(name).is_dir() or is_gguf(Path(name)) or isinstance(try_to_load_from_cache(name, "config.json"), str)
        )
    except HFValidationError:  # no name that the hub would have
        return False


def _other_form(task: Task, store: PersonaStore) -> str:
    """Say what to type where a store is of the task, but not in the form that is wanted."""
    command = f"personaplug index LOG --task {task.name} --encoder ENCODER"
    if task.published_views and task.views == task.published_views:
        return f"the preset paper has an index of its own: {command} --preset paper --store NEW_FILE"
    if task.as_indexed(store.layout.views) != task:
        return f"this index is for the preset paper; make another: {command} --store NEW_FILE"
    return ""
