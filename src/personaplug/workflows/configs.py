"""The configuration of a run: a file or a preset, over it what a person says, over that single settings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from personaplug.config import override, read_values
from personaplug.errors import ConfigError
from personaplug.plug.encoders import encoder_config, encoder_named_by
from personaplug.plug.retrieval_run import RetrievalConfig
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import at_end_of, way_to
from personaplug.plug.run_folder import CONFIG, holds_run
from personaplug.plug.run_kinds import AnyRun
from personaplug.plug.user_lora import UserLoraConfig
from personaplug.store.sqlite import PersonaStore
from personaplug.workflows.learned import digests_of
from personaplug.workflows.overrides import Overrides, PlugOverrides, RetrievalOverrides, UserLoraOverrides
from personaplug.workflows.progress import SILENT, Progress

R = TypeVar("R", bound=AnyRun)
P = TypeVar("P")


def config_file(out: Path, given: Path | None, *, resume: bool) -> Path | None:
    """Name the file that configures a run: that of the run to be resumed, else the one that is given."""
    return out / CONFIG if resume and holds_run(out) else given


def configured_method(file: Path | None) -> str:
    """Read which method a file is of; a plug where there is none."""
    return str(read_values(file).get("method", "plug")) if file else "plug"


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
        run = override(_over(run, said), settings)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if isinstance(run, RetrievalConfig) and isinstance(said, RetrievalOverrides):
        return _with_retrievers(run, said.ropg, out=out)  # type: ignore[return-value] # R is RetrievalConfig here
    return run


def with_encoder_of_store(run: R, store_path: Path, *, progress: Progress = SILENT) -> R:
    """Take the encoder that made a store's vectors, where nobody has named one."""
    if isinstance(run, UserLoraConfig) or (isinstance(run, RunConfig) and not run.reads_vectors):
        return run
    with PersonaStore.open(store_path) as store:
        found = encoder_named_by(store.layout, instead_of=run.encoder)
    if found != run.encoder:
        instead = f"that encoder is taken, not {run.encoder.model}."
        progress.note(f"{store_path} was indexed with {found.model}: {instead}")
    return replace(run, encoder=found)


def _over(run: Any, said: Overrides) -> Any:  # noqa: ANN401 (one of three pairs)
    backbone = _with(run.backbone, model=said.backbone)
    run = _with(run, task=said.task, backbone=backbone)
    if isinstance(run, RunConfig) and isinstance(said, PlugOverrides):
        return _over_plug(run, said)
    if isinstance(run, RetrievalConfig) and isinstance(said, RetrievalOverrides):
        return _over_retrieval(run, said)
    if isinstance(run, UserLoraConfig) and isinstance(said, UserLoraOverrides):
        return _over_adapters(run, said)
    raise TypeError(f"{type(said).__name__} do not go with a {type(run).__name__}")


def _over_plug(run: RunConfig, said: PlugOverrides) -> RunConfig:
    return _with(
        run,
        method=said.method,
        encoder=encoder_config(said.encoder) if said.encoder else None,
        items=_with(run.items, k=said.k),
        training=_with(run.training, queries=said.queries, **_of_training(said)),
    )


def _over_retrieval(run: RetrievalConfig, said: RetrievalOverrides) -> RetrievalConfig:
    return _with(
        run,
        method=said.method,
        encoder=encoder_config(said.encoder) if said.encoder else None,
        selection=_with(run.selection, k=said.k),
        fitting=_with(
            run.fitting,
            queries=said.queries,
            dev_queries=said.dev_queries,
            epochs=said.epochs,
            batch_size=said.batch_size,
            seed=said.seed,
        ),
        scoring=_with(
            run.scoring,
            score=said.score,
            item_tokens=said.item_tokens,
            max_new_tokens=said.max_new_tokens,
            max_input_tokens=said.max_input_tokens,
            max_output_tokens=said.max_output_tokens,
        ),
    )


def _over_adapters(run: UserLoraConfig, said: UserLoraOverrides) -> UserLoraConfig:
    return _with(
        run,
        split=said.split,
        history="stranger" if said.stranger else None,
        queries=said.queries,
        items=_with(run.items, k=said.k),
        training=_with(run.training, **_of_training(said)),
    )


def _of_training(said: Overrides) -> dict[str, Any]:
    names = ("epochs", "batch_size", "max_input_tokens", "max_output_tokens", "seed")
    return {name: getattr(said, name) for name in names}


def _with(part: P, **said: Any) -> P:  # noqa: ANN401 (fields of a dataclass)
    given = {name: value for name, value in said.items() if value is not None}
    return replace(part, **given)  # type: ignore[type-var] # every part is a dataclass


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
