"""Measure a method on a task's queries, and write its report."""

import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from personaplug.backbone.device import this_machine
from personaplug.data.lamp import check_predictions, write_predictions
from personaplug.data.log import Interaction, read_log
from personaplug.data.log_url import LogAddress
from personaplug.data.split import Examples, split_examples
from personaplug.data.stranger import count_shorter, with_one_stranger_each, with_strangers
from personaplug.errors import ConfigError
from personaplug.evaluation import harness
from personaplug.evaluation.cost import TrainingCost
from personaplug.evaluation.machine import describe_software
from personaplug.evaluation.report import Report, Setting
from personaplug.files import check_can_appear
from personaplug.method_kinds import check_command, kind_of
from personaplug.plug.run import decoding_of
from personaplug.plug.run_folder import store_of
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Task, load_task
from personaplug.workflows import methods
from personaplug.workflows.progress import SILENT, Progress, counted
from personaplug.workflows.specs import MethodSpec, QuerySpec


def evaluate(
    log: LogAddress,
    task_name: str,
    *,
    method: MethodSpec,
    queries: QuerySpec = QuerySpec(),  # noqa: B008 (frozen)
    out: Path,
    predictions: Path | None = None,
    progress: Progress = SILENT,
) -> Report:
    """Measure a method and write its report.

    Args:
        log: The log.
        task_name: A built-in task or a .toml file.
        method: The contender.
        queries: What it is asked.
        out: The report's file.
        predictions: Also write the answers there, as LaMP's scorer reads them, in the order of the log.
        progress: Shows how far it is, and hears of rows that cannot be read.

    Raises:
        ConfigError: There is no such method, or parts do not fit.
    """
    check_command(method.name)
    task = load_task(task_name)
    # What is wrong with the task or a file shows now, not at the end.
    if predictions:
        check_predictions(task.name, path=predictions)
    places: dict[tuple[str, str], int] = {}
    out.parent.mkdir(parents=True, exist_ok=True)
    check_can_appear(out)
    own = _drawn(log, task, queries=queries, places=places if predictions else None, progress=progress)
    examples = _estranged(own, queries, method=method.name, progress=progress) if queries.stranger else own
    with ExitStack() as opened:
        contender = opened.enter_context(_built(method, task, queries=queries, profiles=out.parent / "profiles"))
        advance = opened.enter_context(progress.bar(f"evaluate {contender.name}", total=len(examples)))
        report = harness.evaluate(
            contender,
            task,
            examples=examples,
            setting=_setting(queries),
            query_users=[example.profile.user_id for example in own],
            batch_size=queries.batch_size,
            progress=advance,
        )
    report = replace(_with_gpu_memory(report), kind=method.name)
    report.write(out)
    if predictions:
        answers = sorted(report.answers, key=lambda answer: places[answer.query])
        write_predictions(task.name, [(answer.id, answer.prediction) for answer in answers], path=predictions)
    return report


def write_profiles(
    log: LogAddress,
    task_name: str,
    *,
    method: MethodSpec,
    queries: QuerySpec,
    progress: Progress = SILENT,
) -> TrainingCost:
    """Have ``text-profile``'s descriptions written for these queries, and tell how long that took.

    Raises:
        ConfigError: The method describes nobody, or there is no folder for what it writes.
    """
    if not kind_of(method.name).is_described or method.profiles is None:
        raise ConfigError(f"{method.name} needs a folder, and to be a method that describes users, to write profiles")
    task = load_task(task_name)
    examples = _drawn(log, task, queries=queries, progress=progress)
    size = queries.batch_size
    with _built(method, task, queries=queries, profiles=method.profiles) as author:
        assert isinstance(author, harness.PreparingMethod)
        began = perf_counter()
        with progress.bar("describe users", total=len(examples)) as advance:
            for first in range(0, len(examples), size):
                author.prepare(examples[first : first + size])
                advance(min(first + size, len(examples)))
        seconds = perf_counter() - began
    return TrainingCost(seconds, seconds / max(1, len({example.profile.user_id for example in examples})))


def _drawn(
    log: LogAddress,
    task: Task,
    *,
    queries: QuerySpec,
    places: dict[tuple[str, str], int] | None = None,
    progress: Progress,
) -> Examples:
    rows = counted(read_log(log, task, on_bad=progress.bad_row), "read", progress=progress)
    if places is not None:
        rows = _placed(rows, places, split=queries.split)
    examples = split_examples(rows, task, split=queries.split)
    return examples.sample(queries.limit, seed=queries.seed) if queries.limit else examples


def _placed(rows: Iterable[Interaction], places: dict[tuple[str, str], int], *, split: str) -> Iterator[Interaction]:
    """Pass on a log's rows, and write down where each query of a split stands: a report has them user by user."""
    for number, row in enumerate(rows):
        query = row.user_id, row.item.id
        if row.split == split or (row.split != "history" and query not in places):
            places[query] = number
        yield row


def _estranged(own: Examples, queries: QuerySpec, *, method: str, progress: Progress) -> Examples:
    """Give each query a stranger's history: one for all of a user's queries where an adapter answers all of them."""
    strangers = (with_one_stranger_each if kind_of(method).is_per_user else with_strangers)(own, seed=queries.seed)
    if shorter := count_shorter(own, strangers):
        progress.note(f"{shorter:,} of {len(own):,} strangers have a shorter history: nobody has a longer one")
    return strangers


@contextmanager
def _built(method: MethodSpec, task: Task, *, queries: QuerySpec, profiles: Path) -> Iterator[harness.Method]:
    """Build the contender, its store open for as long as it is asked."""
    path = method.store or (store_of(method.run) if method.run else None)
    given = {name: value for name, value in method.decoding.items() if value is not None}
    words: dict[str, Any] = {"seed": queries.seed, **given}
    own = decoding_of(method.run)
    with PersonaStore.open(path) if path else nullcontext() as store:
        options = methods.MethodOptions(
            run=method.run,
            store=store,
            backbone=method.backbone,
            encoder=method.encoder,
            k=method.k,
            generation=replace(own, **words),
            profiles=method.profiles or profiles,
            query_source=method.query_source,
        )
        yield methods.build_method(method.name, task, options=options)


def _setting(queries: QuerySpec) -> Setting:
    return Setting(
        split=queries.split,
        seed=queries.seed,
        history="stranger" if queries.stranger else "own",
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        machine=this_machine(),
        software=describe_software(),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _with_gpu_memory(report: Report) -> Report:
    if report.cost is None or not torch.cuda.is_available():
        return report
    return replace(report, cost=replace(report.cost, gpu_memory_mb=torch.cuda.max_memory_allocated() / 1e6))
