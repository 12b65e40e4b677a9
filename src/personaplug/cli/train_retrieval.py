"""What ``personaplug train`` does for learned retrieval: score with the language model, then fit what chooses."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from personaplug.cli.encoders import encoder_config, start_torch
from personaplug.cli.learned import digests_of, plain_of, prompts_of
from personaplug.cli.queries import draw_queries
from personaplug.cli.retrievers import build_retriever, items_beside
from personaplug.cli.screen import counted, progress
from personaplug.config import override
from personaplug.data.rows import OnBad
from personaplug.errors import ConfigError
from personaplug.methods.prompt_writer import PromptWriter
from personaplug.methods.prompted import Prompted
from personaplug.plug.loading import load_backbone
from personaplug.plug.parts import encoder_of_store
from personaplug.plug.query_source import QuerySource
from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.plug.retrieval_run import PAPER, FittingConfig, RetrievalRun, ScoringConfig, new_selector
from personaplug.plug.run_file import at_end_of, read_config, way_to
from personaplug.records import Example
from personaplug.rivals.ranker import ItemRanker
from personaplug.store.sqlite import PersonaStore
from personaplug.tasks.task import Task, load_task
from personaplug.training.choice import Choice, item_choice, retriever_choices
from personaplug.training.choosing import Chooser, Chosen
from personaplug.training.learned_retrieval import Listener, train_chooser
from personaplug.training.prompt_section import prompt_section
from personaplug.training.retrieval_folder import begin, check_folder, finish


def retrieval_run(
    config: Path | None,
    preset: str,
    *,
    words: dict[str, Any],
    settings: Sequence[str] = (),
    ropg: Sequence[Path],
    out: Path,
) -> RetrievalRun:
    """Put a run together: a file or a preset, and over it the words of the command line.

    Args:
        config: A run's config.toml, in place of the preset.
        preset: ``default`` or ``paper``.
        words: Fields of any part of the run; ``encoder`` and ``backbone`` are names.
        settings: As :func:`personaplug.config.override` reads them; they are applied after the words, and win.
        ropg: Runs of trained retrievers to choose from, in place of those of the configuration.
        out: The run's folder.

    Raises:
        ConfigError: The file does not fit, or a word means nothing to this method.
    """
    run = read_config(RetrievalRun, config) if config else PAPER if preset == "paper" else RetrievalRun()
    try:
        run = _with_words(run, {name: value for name, value in words.items() if value is not None})
    except ValueError as error:
        raise ConfigError(str(error)) from error
    run = override(run, settings)
    return _with_digests(_with_ropg(run, ropg, out=out) if ropg else run, out)


def fit_retrieval(
    run: RetrievalRun,
    log: Path,
    *,
    out: Path,
    store_path: Path | None,
    resume: bool = False,
    on_bad: OnBad | None = None,
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
        run = replace(run, store=way_to(store_path, folder=out), fingerprint=encoder.fingerprint)
        reader = None
        if run.selection.encoder and not run.is_ranker:
            reader = run.selection.reader(device=start_torch())
            run = replace(run, selection=replace(run.selection, fingerprint=reader.fingerprint))
        language_model = load_backbone(run.backbone, device=start_torch())
        plain = plain_of(run, task, backbone=language_model, generation=run.scoring.generation)
        pool = _pool(run, out, plain=plain, task=task, store=store)
        train, dev = draw_queries(log, task, draw=run.fitting, on_bad=on_bad)
        said = begin(out, run, task=task)
        room, began = max(each.max_tokens for each in pool), perf_counter()
        listener = Listener(plain.backbone, run, task, folder=said, max_input_tokens=room)
        choices, dev_choices = (
            _choices(run, examples, pool=pool, task=task, listener=listener) for examples in (train, dev)
        )
        chooser: Chooser = (
            ItemRanker(encoder, run.ranker) if run.is_ranker else new_selector(run, encoder, reader=reader)
        )
        chosen = _fit(chooser, choices, listener=listener, run=run, dev=dev_choices, folder=out)
        chosen = replace(chosen, seconds=perf_counter() - began)  # what was asked before the first step is most of it
        section = prompt_section(language_model, task, has_items=True)
        finish(out, run, task=task, chooser=chooser, chosen=chosen, prompt=section)
    return chosen


def _with_words(run: RetrievalRun, words: dict[str, Any]) -> RetrievalRun:
    if "encoder" in words:
        run = replace(run, encoder=encoder_config(words.pop("encoder")))
    if "backbone" in words:
        run = replace(run, backbone=replace(run.backbone, model=words.pop("backbone")))
    if "k" in words:
        run = replace(run, selection=replace(run.selection, k=words.pop("k")))
    run = replace(run, fitting=replace(run.fitting, **_taken(words, FittingConfig)))  # --batch-size is of queries
    run = replace(run, scoring=replace(run.scoring, **_taken(words, ScoringConfig)))
    return replace(run, **words)


def _taken(words: dict[str, Any], part: type) -> dict[str, Any]:
    """Take the words that are fields of a part."""
    names = {field.name for field in fields(part)}
    return {name: words.pop(name) for name in list(words) if name in names}


def _fit(
    chooser: Chooser,
    choices: Sequence[Choice],
    *,
    listener: Listener,
    run: RetrievalRun,
    dev: Sequence[Choice],
    folder: Path,
) -> Chosen:
    """Score, then fit, each with its bar. A policy gradient has but the options scored that it draws."""
    asked = [*dev] if run.method == "ropg-rl" else [*choices, *dev]
    with progress("score prompts") as advance:
        listener.score(asked, on_progress=lambda done, total: advance(done, total=total))
    with progress(f"train {run.method}") as advance:
        return train_chooser(
            chooser,
            choices,
            listener=listener,
            run=run,
            dev=dev,
            folder=folder,
            on_progress=lambda now: advance(now.step, now.words, total=now.steps),
        )


def _pool(run: RetrievalRun, out: Path, *, plain: Prompted, task: Task, store: PersonaStore) -> list[PromptWriter]:
    """Build what is chosen from; for a retriever, the prompt of the one item that the untrained one holds for best."""
    if not run.is_ranker:
        return prompts_of(run, out, plain=plain, task=task, store=store, query_source=QuerySource.STORE)
    untrained = build_retriever(
        "dense", task, store=store, encoder_name=run.encoder.model, query_source=QuerySource.STORE
    )
    return [items_beside(plain, task, retriever=untrained, k=1, item_tokens=run.scoring.item_tokens)]


def _choices(
    run: RetrievalRun, examples: Sequence[Example], *, pool: Sequence[PromptWriter], task: Task, listener: Listener
) -> list[Choice]:
    if not run.is_ranker:
        answer = listener.answer if run.method == "rspg-post" else None
        writers, reads = [each.write for each in pool], run.selection.reads
        return retriever_choices(examples, task=task, writers=writers, answer=answer, reads=reads)
    writer = pool[0]
    assert isinstance(writer, RetrievalPrompt)
    count = run.ranker.candidates
    return [
        item_choice(example, task=task, retriever=writer.retriever, count=count, write=writer.with_items)
        for example in counted(examples, "find candidates")
    ]


def _with_ropg(run: RetrievalRun, ropg: Sequence[Path], *, out: Path) -> RetrievalRun:
    if run.is_ranker:
        raise ConfigError(f"{run.method} chooses between items, not retrievers", hint="--ropg goes with rspg methods")
    paths = tuple(way_to(path, folder=out) for path in ropg)
    return replace(run, selection=replace(run.selection, ropg=paths, ropg_digests=()))


def _with_digests(run: RetrievalRun, out: Path) -> RetrievalRun:
    selection = run.selection
    if not selection.ropg or selection.ropg_digests:
        return run
    digests = digests_of([at_end_of(way, folder=out) for way in selection.ropg])
    return replace(run, selection=replace(selection, ropg_digests=digests))
