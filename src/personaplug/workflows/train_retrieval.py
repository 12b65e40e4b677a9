"""Train learned retrieval: score prompts with the language model, then fit what chooses between them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from personaplug.backbone.device import start_torch
from personaplug.backbone.loading import load_backbone
from personaplug.data.log_url import LogAddress
from personaplug.errors import ConfigError
from personaplug.methods.prompt_writer import PromptWriter
from personaplug.methods.prompted import Prompted
from personaplug.methods.retrieval import build_retriever, items_beside
from personaplug.plug.encoders import encoder_of_store, load_encoder
from personaplug.plug.query_source import QuerySource
from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.plug.run_file import way_to_store
from personaplug.records import Example
from personaplug.rivals.learned_retrieval.candidates import CandidateSet, item_candidates, retriever_candidates
from personaplug.rivals.learned_retrieval.fitting import Chooser, Chosen
from personaplug.rivals.learned_retrieval.method import plain_of, prompts_of
from personaplug.rivals.learned_retrieval.ranker import ItemRanker
from personaplug.rivals.learned_retrieval.run import RetrievalConfig, new_selector
from personaplug.rivals.learned_retrieval.run_folder import begin, check_folder, finish
from personaplug.rivals.learned_retrieval.training import Listener, train_chooser
from personaplug.store.address import Address
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Task, load_task
from personaplug.training.prompt_section import prompt_section
from personaplug.workflows.progress import SILENT, Progress, counted
from personaplug.workflows.queries import draw_queries


def fit_retrieval(
    run: RetrievalConfig,
    log: LogAddress,
    *,
    out: Path,
    store_path: Address | None,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Chosen:
    """Train a run on a log and leave it, with its model card, in a folder.

    Raises:
        ConfigError: There is no store, the folder holds a run that is not to be resumed, or parts do not fit.
        FingerprintMismatchError: The store's vectors are another encoder's or task's.
    """
    check_folder(out, resume=resume)
    if store_path is None:
        raise ConfigError(f"{run.method} needs a store of histories", hint="name it with --store")
    task = load_task(run.task)
    with PersonaStore.open(store_path) as store:
        indexed = task.as_indexed(store.layout.views)
        encoder = encoder_of_store(run.encoder, indexed, store=store, device=start_torch())
        run = replace(run, store=way_to_store(store_path, folder=out), fingerprint=encoder.fingerprint)
        reader = None
        if run.selection.encoder and not run.is_ranker:
            reader = load_encoder(run.selection.reader, like=run.selection.fingerprint, device=start_torch())
            run = replace(run, selection=replace(run.selection, fingerprint=reader.fingerprint))
        language_model = load_backbone(run.backbone, device=start_torch())
        plain = plain_of(run, task, backbone=language_model, generation=run.scoring.generation)
        pool = _pool(run, out, plain=plain, task=task, store=store)
        train, dev = draw_queries(log, task, draw=run.fitting, progress=progress)
        said = begin(out, run, task=task)
        room, began = max(each.max_tokens for each in pool), perf_counter()
        listener = Listener(plain.backbone, run, task, folder=said, max_input_tokens=room)
        choices, dev_choices = (
            _choices(run, examples, pool=pool, task=task, listener=listener, progress=progress)
            for examples in (train, dev)
        )
        chooser: Chooser = (
            ItemRanker(encoder, run.ranker) if run.is_ranker else new_selector(run, encoder, reader=reader)
        )
        chosen = _fit(chooser, choices, listener=listener, run=run, dev=dev_choices, folder=out, progress=progress)
        chosen = replace(chosen, seconds=perf_counter() - began)  # what was asked before the first step is most of it
        section = prompt_section(language_model, task, has_items=True)
        finish(out, run, task=task, chooser=chooser, chosen=chosen, prompt=section)
    return chosen


def _fit(
    chooser: Chooser,
    choices: Sequence[CandidateSet],
    *,
    listener: Listener,
    run: RetrievalConfig,
    dev: Sequence[CandidateSet],
    folder: Path,
    progress: Progress,
) -> Chosen:
    """Score, then fit, each with its bar. A policy gradient has but the options scored that it draws."""
    asked = [*dev] if run.kind.by_policy else [*choices, *dev]
    with progress.bar("score prompts") as advance:
        listener.score(asked, on_progress=lambda done, total: advance(done, total=total))
    with progress.bar(f"train {run.method}") as advance:
        return train_chooser(
            chooser,
            choices,
            listener=listener,
            run=run,
            dev=dev,
            folder=folder,
            on_progress=lambda now: advance(now.step, now.summary, total=now.steps),
        )


def _pool(run: RetrievalConfig, out: Path, *, plain: Prompted, task: Task, store: PersonaStore) -> list[PromptWriter]:
    """Build what is chosen from; for a retriever, the prompt of the one item that the untrained one holds for best."""
    if not run.is_ranker:
        return prompts_of(run, out, plain=plain, task=task, store=store, query_source=QuerySource.STORE)
    untrained = build_retriever(
        "dense", task, store=store, encoder_name=run.encoder.model, query_source=QuerySource.STORE
    )
    return [items_beside(plain, task, retriever=untrained, k=1, item_tokens=run.scoring.item_tokens)]


def _choices(
    run: RetrievalConfig,
    examples: Sequence[Example],
    *,
    pool: Sequence[PromptWriter],
    task: Task,
    listener: Listener,
    progress: Progress,
) -> list[CandidateSet]:
    if not run.is_ranker:
        answer = listener.answer if run.kind.reads_answers else None
        writers, reads = [each.write for each in pool], run.selection.reads
        return retriever_candidates(examples, task=task, writers=writers, answer=answer, reads=reads)
    writer = pool[0]
    assert isinstance(writer, RetrievalPrompt)
    count = run.ranker.candidates
    return [
        item_candidates(example, task=task, retriever=writer.retriever, count=count, write=writer.with_items)
        for example in counted(examples, "find candidates", progress=progress)
    ]
