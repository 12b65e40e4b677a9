"""Train a run of any kind on a log, and leave it in a folder: a plug or its control, learned retrieval, adapters."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from personaplug.backbone.device import start_torch
from personaplug.backbone.sharding import load_part
from personaplug.data.log_url import LogAddress
from personaplug.errors import ConfigError, StoreError
from personaplug.plug.model import build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import way_to_store
from personaplug.rivals.learned_retrieval.fitting import Chosen
from personaplug.rivals.learned_retrieval.run import RetrievalConfig
from personaplug.rivals.user_lora.cost import UserCost
from personaplug.rivals.user_lora.run import UserLoraConfig
from personaplug.store.address import Address
from personaplug.store.bank import Bank
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import load_task
from personaplug.training.checkpoints import starting_point
from personaplug.training.processes import Processes
from personaplug.training.progress import Fitted
from personaplug.training.trainer import train as train_plug
from personaplug.workflows.methods import check_room
from personaplug.workflows.progress import SILENT, Progress
from personaplug.workflows.queries import draw_queries
from personaplug.workflows.run_kinds import AnyRun
from personaplug.workflows.train_retrieval import fit_retrieval
from personaplug.workflows.train_user_lora import fit_users

Outcome = Fitted | Chosen | UserCost


def train(
    run: AnyRun,
    log: LogAddress,
    *,
    out: Path,
    store: Address | None = None,
    resume: bool = False,
    shared_inputs: Path | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Train a run on a log and leave it, with its model card, in a folder.

    Where a launcher such as ``torchrun`` has started many processes, all call this, and train a plug together.

    Args:
        run: What and how.
        log: Its training queries and, for adapters, its users.
        out: The folder.
        store: The index of the log; adapters and a tuned prompt without retrieved items need none.
        resume: Go on where a training into this folder was stopped.
        shared_inputs: A folder where trainings of plugs leave for each other what the frozen model made of inputs.
        progress: Shows how far it is, and hears of rows that cannot be read.

    Raises:
        ConfigError: A store is needed, the folder holds a run that is not to be resumed, or parts do not fit.
        FingerprintMismatchError: The store's vectors are another encoder's or task's.
        ProcessLostError: One of many processes is gone.
    """
    processes = Processes.joined()
    with processes.needing_each_other():
        if processes.count > 1:
            check_trains_together(run, processes=processes.count)
        return _fit(run, log, out=out, store=store, resume=resume, shared_inputs=shared_inputs, progress=progress)


def check_trains_together(run: AnyRun, *, processes: int | str) -> None:
    """Refuse to train in many processes what is no plug.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(run, RunConfig):
        raise ConfigError(
            f"{run.method} is trained in one process, not {processes}", hint="start it without a launcher or --ray"
        )


def _fit(
    run: AnyRun,
    log: LogAddress,
    *,
    out: Path,
    store: Address | None,
    resume: bool,
    shared_inputs: Path | None,
    progress: Progress,
) -> Outcome:
    if isinstance(run, UserLoraConfig):
        return fit_users(run, log, out=out, resume=resume, progress=progress)
    if isinstance(run, RetrievalConfig):
        return fit_retrieval(run, log, out=out, store_path=store, resume=resume, progress=progress)
    return _fit_plug(run, log, out=out, store_path=store, resume=resume, shared_inputs=shared_inputs, progress=progress)


def _fit_plug(
    run: RunConfig,
    log: LogAddress,
    *,
    out: Path,
    store_path: Address | None,
    resume: bool,
    shared_inputs: Path | None,
    progress: Progress,
) -> Fitted:
    starting_point(out, resume=resume)  # the trainer asks again: that a folder is taken should show before the work
    task, processes, device = run.form_of(load_task(run.task)), Processes.joined(), start_torch()
    with ExitStack() as opened:
        store = opened.enter_context(PersonaStore.open(store_path)) if store_path else None
        run = replace(run, store=way_to_store(store_path, folder=out) if store_path else "")
        is_cut = run.training.shards_backbone and processes.count > 1
        backbone = load_part(run.backbone, device=device) if is_cut else None
        plug = build_plug(run, task, store=store, device=device, query_source=QuerySource.STORE, backbone=backbone)
        check_room(plug)
        seen = task if run.retriever else task.for_persona()
        examples, dev = draw_queries(log, seen, draw=run.training, progress=progress)
        if store and plug.source:
            with processes.first_goes_ahead():
                plug.read_from(snapshot_of(store))
        advance = opened.enter_context(progress.bar(f"train {run.method}"))
        return train_plug(
            plug,
            examples,
            dev=dev,
            folder=out,
            resume=resume,
            shared_inputs=shared_inputs,
            on_progress=lambda now: advance(now.step, now.summary, total=now.steps),
            on_encoded=lambda done, total: advance(done, "queries encoded", total=total),
        )


def snapshot_of(store: PersonaStore) -> Bank:
    """Give the store's own memory-mapped snapshot, made anew when the store has changed."""
    folder = store.own_snapshot()
    try:
        bank = Bank.open(folder)
    except StoreError:
        return store.snapshot(folder)
    if not bank.is_current(store):
        return store.snapshot(folder)
    store.remember(folder)  # it may have been made under another name, or before the store was restored
    return bank
