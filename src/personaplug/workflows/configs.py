"""The configuration of a run: a file or a preset, over it what a person says, over that single settings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from personaplug.config import override
from personaplug.errors import ConfigError
from personaplug.plug.encoders import encoder_config, encoder_named_by
from personaplug.plug.run import RunConfig, TrainingConfig
from personaplug.plug.run_file import at_end_of, way_to
from personaplug.plug.run_folder import CONFIG, holds_run, method_in
from personaplug.rivals.learned_retrieval.method import digests_of
from personaplug.rivals.learned_retrieval.run import RetrievalConfig
from personaplug.rivals.user_lora.run import UserLoraConfig, UserTrainingConfig
from personaplug.store.address import Address
from personaplug.store.persona_store import PersonaStore
from personaplug.workflows.overrides import Overrides, PlugOverrides, RetrievalOverrides, UserLoraOverrides
from personaplug.workflows.progress import SILENT, Progress
from personaplug.workflows.run_kinds import AnyRun

R = TypeVar("R", bound=AnyRun)
K = TypeVar("K", RunConfig, RetrievalConfig, UserLoraConfig)
T = TypeVar("T", TrainingConfig, UserTrainingConfig)
V = TypeVar("V")


def config_file(out: Path, given: Path | None, *, resume: bool) -> Path | None:
    """Name the file that configures a run: that of the run to be resumed, else the one that is given."""
    return out / CONFIG if resume and holds_run(out) else given


def configured_method(file: Path | None) -> str:
    """Read which method a file is of; a plug where there is none."""
    return method_in(file) if file else "plug"


def overridden(run: R, said: Overrides, *, settings: Sequence[str] = (), out: Path) -> R:
    """Put what a person says in the place of what is configured.

    Args:
        run: As configured.
        said: Of the same kind of run.
        settings: As :func:`personaplug.config.override` reads them; they come last, and win.
        out: The run's folder, from which it names trained retrievers.

    Raises:
        ConfigError: Something does not fit.
    """
    try:
        made = override(_over(run, said), settings)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if isinstance(made, RetrievalConfig) and isinstance(said, RetrievalOverrides):
        made = _with_retrievers(made, said.ropg, out=out)
    assert isinstance(made, type(run)), "what is said of a run makes no other kind of it"
    return made


def with_encoder_of_store(run: R, store_path: Address, *, progress: Progress = SILENT) -> R:
    """Take the encoder that made a store's vectors, where nobody has named one."""
    if isinstance(run, UserLoraConfig) or (isinstance(run, RunConfig) and not run.reads_vectors):
        return run
    with PersonaStore.open(store_path) as store:
        found = encoder_named_by(store.layout, instead_of=run.encoder)
    if found != run.encoder:
        instead = f"that encoder is taken, not {run.encoder.model}."
        progress.note(f"{store_path} was indexed with {found.model}: {instead}")
    return replace(run, encoder=found)


def _over(run: AnyRun, said: Overrides) -> AnyRun:
    if isinstance(run, RunConfig) and isinstance(said, PlugOverrides):
        return _over_plug(_over_every(run, said), said)
    if isinstance(run, RetrievalConfig) and isinstance(said, RetrievalOverrides):
        return _over_retrieval(_over_every(run, said), said)
    if isinstance(run, UserLoraConfig) and isinstance(said, UserLoraOverrides):
        return _over_adapters(_over_every(run, said), said)
    raise ConfigError(f"{type(said).__name__} do not go with a {type(run).__name__}")


def _over_every(run: K, said: Overrides) -> K:
    backbone = replace(run.backbone, model=_or(said.backbone, run.backbone.model))
    return replace(run, task=_or(said.task, run.task), backbone=backbone)


def _over_plug(run: RunConfig, said: PlugOverrides) -> RunConfig:
    training = _over_training(run.training, said)
    return replace(
        run,
        method=_or(said.method, run.method),
        encoder=encoder_config(said.encoder) if said.encoder else run.encoder,
        items=replace(run.items, k=_or(said.k, run.items.k)),
        training=replace(training, queries=_or(said.queries, training.queries)),
    )


def _over_retrieval(run: RetrievalConfig, said: RetrievalOverrides) -> RetrievalConfig:
    fitting, scoring = run.fitting, run.scoring
    return replace(
        run,
        method=_or(said.method, run.method),
        encoder=encoder_config(said.encoder) if said.encoder else run.encoder,
        selection=replace(run.selection, k=_or(said.k, run.selection.k)),
        fitting=replace(
            fitting,
            queries=_or(said.queries, fitting.queries),
            dev_queries=_or(said.dev_queries, fitting.dev_queries),
            epochs=_or(said.epochs, fitting.epochs),
            batch_size=_or(said.batch_size, fitting.batch_size),
            seed=_or(said.seed, fitting.seed),
        ),
        scoring=replace(
            scoring,
            score=_or(said.score, scoring.score),
            item_tokens=_or(said.item_tokens, scoring.item_tokens),
            max_new_tokens=_or(said.max_new_tokens, scoring.max_new_tokens),
            max_input_tokens=_or(said.max_input_tokens, scoring.max_input_tokens),
            max_output_tokens=_or(said.max_output_tokens, scoring.max_output_tokens),
        ),
    )


def _over_adapters(run: UserLoraConfig, said: UserLoraOverrides) -> UserLoraConfig:
    return replace(
        run,
        split=_or(said.split, run.split),
        history=_or(said.history, run.history),
        queries=_or(said.queries, run.queries),
        items=replace(run.items, k=_or(said.k, run.items.k)),
        training=_over_training(run.training, said),
    )


def _over_training(training: T, said: Overrides) -> T:
    return replace(
        training,
        epochs=_or(said.epochs, training.epochs),
        batch_size=_or(said.batch_size, training.batch_size),
        max_input_tokens=_or(said.max_input_tokens, training.max_input_tokens),
        max_output_tokens=_or(said.max_output_tokens, training.max_output_tokens),
        seed=_or(said.seed, training.seed),
    )


def _or(said: V | None, configured: V) -> V:
    return configured if said is None else said


def _with_retrievers(run: RetrievalConfig, ropg: Sequence[Path], *, out: Path) -> RetrievalConfig:
    """Name the trained retrievers that a choice is between, and tell them from all others by their weights."""
    if ropg and run.is_ranker:
        raise ConfigError(f"{run.method} chooses between items, not retrievers", hint="--ropg goes with rspg methods")
    selection = run.selection
    if ropg:
        ways = tuple(way_to(path, folder=out) for path in ropg)
        selection = replace(selection, ropg=ways, ropg_digests=())
    if selection.ropg and not selection.ropg_digests:
        digests = digests_of([at_end_of(way, folder=out) for way in selection.ropg])
        selection = replace(selection, ropg_digests=digests)
    return replace(run, selection=selection)
