"""Words to objects: the only place where a name chooses what is built, by exact match."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from huggingface_hub.utils.tqdm import enable_progress_bars
from jaxtyping import Float
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from personaplug.cli.prompts import plain_prompts, positions_of, with_items, with_profiles, word_retriever
from personaplug.cli.user_lora import open_user_lora
from personaplug.config import read_toml
from personaplug.embedder.encoder import BGE, EncoderConfig, TextEncoder
from personaplug.errors import ConfigError, FingerprintMismatchError
from personaplug.evaluation.harness import Method
from personaplug.methods.persona_plug import PlugMethod
from personaplug.methods.prompted import Prompted
from personaplug.plug.backbone import GenerationConfig
from personaplug.plug.loading import BackboneConfig, load_backbone
from personaplug.plug.model import PersonaPlug
from personaplug.plug.queries import QueryVectors
from personaplug.plug.run import PRESETS, RunConfig
from personaplug.plug.user_lora import held_method
from personaplug.records import HistoryItem
from personaplug.retrieval.base import Retriever
from personaplug.retrieval.dense import DenseRetriever
from personaplug.store.base import StoreLayout, missing_item, text_hash
from personaplug.store.sqlite import PersonaStore
from personaplug.tasks.task import Task

Retrieval = Literal["recency", "random", "bm25", "dense"]
Trained = Literal["plug", "tuned-prompt"]
METHODS = ("plain", *get_args(Trained), *get_args(Retrieval), "user-lora", "text-profile")
RETRIEVED = 4  # items in a retrieval prompt
PROFILED = 16  # items that a user is described by
ENCODERS = {
    "minilm": EncoderConfig(),
    **{name: replace(BGE, model=name) for name in (BGE.model, "BAAI/bge-small-en-v1.5", "BAAI/bge-large-en-v1.5")},
}


@dataclass(frozen=True, slots=True)
class MethodOptions:
    """What a method may need beside its name and task.

    Attributes:
        run: Folder of a trained plug or tuned prompt; untrained methods take language model and limits from it.
        store: The histories' vectors, for ``plug`` and ``dense``.
        backbone: The language model, where there is no run.
        encoder: As given to ``index``, for ``dense``; where it is None, the run's or the one that the store names.
        k: Items in a retrieval prompt, or of which ``text-profile`` is written; None for :data:`RETRIEVED`, for
            :data:`PROFILED`, or for as many as ``user-lora`` was trained with.
        item_tokens: Longest item in a retrieval prompt; shorter where the language model has no room for ``k`` such.
        generation: How to decode.
        profiles: Where ``text-profile`` keeps what the language model wrote about users.
    """

    run: Path | None = None
    store: PersonaStore | None = None
    backbone: str = "nano"
    encoder: str | None = None
    k: int | None = None
    item_tokens: int = 64
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    profiles: Path | None = None


def start_torch() -> str:
    """Ready torch for a command and name the device to compute on: the GPU where there is one.

    Of the processes that ``torchrun`` starts on one machine each takes the GPU of its own number, as the trainer does.
    The bars of weights being loaded are switched off, those of downloads stay; of transformers' notes, errors alone.
    """
    disable_progress_bar()
    set_verbosity_error()
    enable_progress_bars()
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


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
    model, _, _ = layout.fingerprint.partition("@")
    known = next((known for known in ENCODERS if Path(known).name == model), model)
    encoder = build_encoder(name or known, like=layout)
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


def run_config(config: Path | None, preset: str) -> RunConfig:
    """Read a run's configuration from a file, or take a preset.

    Raises:
        ConfigError: The file does not fit.
    """
    return read_toml(RunConfig, config) if config else PRESETS[preset]


@contextmanager
def open_run(run: Path, store: Path | None) -> Iterator[PersonaPlug]:
    """Load a trained plug with the histories of its users, for as long as it is asked.

    Args:
        run: The run's folder.
        store: The histories; None for those that the run was trained with.

    Raises:
        ConfigError: The folder is no run, or does not say where the histories are.
        StoreError: They are not there, or of another encoder.
    """
    _check_is_plug(run)
    path = store or store_of(run)
    with PersonaStore.open(path) if path else nullcontext() as opened:
        plug = PersonaPlug.from_pretrained(run, store=opened, device=start_torch())
        if opened is None:
            raise ConfigError(f"{run} was trained without a store of histories", hint="name one with --store")
        yield plug


def store_of(run: Path) -> Path | None:
    """Find the store that a run was trained with; None where there was none, or where the folder is no run."""
    if not (run / "config.toml").is_file() or held_method(run) == "user-lora":
        return None
    name = read_toml(RunConfig, run / "config.toml").store
    return Path(os.path.normpath(run / name)) if name else None


def check_method(name: str) -> None:
    """Refuse a name that no contender has.

    Raises:
        ConfigError: There is no such method.
    """
    if name not in METHODS:
        raise ConfigError(f"there is no method {name!r}", hint=f"methods: {', '.join(METHODS)}")


def build_method(name: str, task: Task, options: MethodOptions) -> Method:
    """Build a contender by its exact name.

    Raises:
        ConfigError: There is no such method, or it needs a run or a store that was not given.
    """
    check_method(name)
    if name in (*get_args(Trained), "user-lora"):
        return _trained(name, task, options)
    if options.run:
        _check_is_plug(options.run)
    run = read_toml(RunConfig, options.run / "config.toml") if options.run else None
    source = run.backbone if run else BackboneConfig(model=options.backbone)
    training = (run or RunConfig()).training
    prompted = plain_prompts(
        name,
        load_backbone(source, device=start_torch()),
        task,
        options.generation,
        max_input_tokens=training.max_input_tokens,
        max_output_tokens=training.max_output_tokens,
    )
    if name == "plain":
        return prompted
    if name == "text-profile":
        return _described(prompted, task, options, source)
    retriever = _retriever(name, task, options, run)
    return with_items(prompted, task, retriever, k=options.k or RETRIEVED, item_tokens=options.item_tokens)


def check_room(plug: PersonaPlug) -> None:
    """Refuse a plug whose longest input, with the vectors before it, its language model has no positions for.

    Raises:
        ConfigError: There are too few.
    """
    training = plug.run.training
    positions = positions_of(plug.backbone, answer_tokens=training.max_output_tokens)
    vectors = plug.run.embedder.instructions + plug.run.embedder.personas
    if positions is not None and training.max_input_tokens + vectors > positions:
        raise ConfigError(
            f"inputs of {training.max_input_tokens} tokens after {vectors} vectors: the language model has room for "
            f"{max(0, positions)}, beside answers of {training.max_output_tokens}",
            hint=f"--max-input-tokens {positions - vectors}"
            if positions > vectors
            else "a smaller --max-output-tokens",
        )


def _check_is_plug(run: Path) -> None:
    if held_method(run) == "user-lora":
        raise ConfigError(
            f"{run} holds adapters of a user-lora, no plug", hint="personaplug evaluate --method user-lora --run RUN"
        )


def _trained(name: str, task: Task, options: MethodOptions) -> Method:
    if options.run is None:
        raise ConfigError(f"the method {name!r} needs a trained run", hint="train one, then name its folder with --run")
    held = held_method(options.run) or read_toml(RunConfig, options.run / "config.toml").method
    if held != name:
        raise ConfigError(f"{options.run} holds a {held}, not a {name}", hint=f"--method {held}, or another --run")
    if name == "user-lora":
        return open_user_lora(options.run, task, k=options.k, generation=options.generation, device=start_torch())
    plug = PersonaPlug.from_pretrained(options.run, store=options.store, device=start_torch())
    if plug.batcher.task.name != task.name:
        raise ConfigError(f"{options.run} was trained for the task {plug.batcher.task.name!r}, not {task.name!r}")
    return PlugMethod(name, plug, options.generation)


def _described(plain: Prompted, task: Task, options: MethodOptions, source: BackboneConfig) -> Method:
    if options.profiles is None:
        raise ConfigError("text-profile needs a folder for what it writes about users", hint="name it with --profiles")
    k = options.k or PROFILED
    return with_profiles(plain, task, options.profiles, source=source, k=k, item_tokens=options.item_tokens)


def _retriever(name: str, task: Task, options: MethodOptions, run: RunConfig | None) -> Retriever:
    if name in ("bm25", "recency", "random"):
        return word_retriever(name, task)
    if options.store is None:
        raise ConfigError("dense retrieval needs a store", hint="name it with --store")
    return _dense(task, options.store, encoder_name=options.encoder or (run.encoder.model if run else None))


def _dense(task: Task, store: PersonaStore, *, encoder_name: str | None) -> Retriever:
    encoder = encoder_of(store.layout, name=encoder_name)
    layout_of(encoder, task).check(store.layout, where=str(store.path))
    queries = QueryVectors(encoder, store)
    return DenseRetriever(lambda texts: queries(texts).numpy(), lambda items: _stored_keys(items, store, task))


def _stored_keys(items: Sequence[HistoryItem], store: PersonaStore, task: Task) -> Float[np.ndarray, "items dim"]:
    """Look up the vectors of the items' first view, whoever they belong to."""
    hashes = [text_hash(task.view_texts(item)[0]) for item in items]
    known = store.known(hashes)
    for item, key in zip(items, hashes, strict=True):
        if key not in known:
            raise missing_item(item.id, where=str(store.path))
    return np.stack([known[key] for key in hashes])
