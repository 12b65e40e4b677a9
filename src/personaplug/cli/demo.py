"""``personaplug demo``: the whole way on sample data, from a log to a report."""

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import click

from personaplug.models.catalog import DEFAULT
from personaplug.plug.query_source import QuerySource

if TYPE_CHECKING:
    from personaplug.evaluation.report import Report
    from personaplug.method_kinds import Prefixed
    from personaplug.plug.run import RunConfig
    from personaplug.workflows.specs import MethodSpec

SampleTask = Literal["sample-tags", "sample-headlines"]
TASKS: tuple[SampleTask, ...] = ("sample-headlines", "sample-tags")
LONGEST_ANSWER = 32
"""Tokens; the longest right answers have fewer."""

SHOWN = 3
"""Queries whose answers are shown side by side."""


@dataclass(frozen=True, slots=True)
class DemoMethod:
    """One row of the demo's table.

    Attributes:
        method: As given to ``evaluate --method``.
        stranger: Give it another user's history.
    """

    method: str
    stranger: bool = False


CONTENDERS = (
    DemoMethod("plain"),
    DemoMethod("tuned-prompt"),
    DemoMethod("tuned-lora"),
    DemoMethod("bm25"),
    DemoMethod("plug"),
    DemoMethod("plug", stranger=True),
)
TRAINED: "tuple[Prefixed, ...]" = ("tuned-prompt", "tuned-lora", "plug")


NAMES = {
    "plain": "without persona",
    "plug": "with persona",
    "plug, stranger's history": "with a stranger's",
}
"""What the answers that are shown side by side are called, by the label of their report."""


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for all that is made; what an earlier demo left there is made anew.",
)
@click.option("--task", type=click.Choice(TASKS), default=TASKS[0], show_default=True, help="Which sample.")
@click.option("--backbone", default=DEFAULT, show_default=True, help="The frozen language model.")
@click.option("--users", type=click.IntRange(40), default=300, show_default=True, help="Users in the sample.")
@click.option(
    "--train", "train_queries", type=click.IntRange(32), default=400, show_default=True, help="Queries to train on."
)
@click.option(
    "--test", "test_queries", type=click.IntRange(20), default=80, show_default=True, help="Queries to measure."
)
def demo(out: Path, task: SampleTask, backbone: str, users: int, train_queries: int, test_queries: int) -> None:
    """Go the whole way on synthetic users: sample data, index, train, evaluate, report.

    Everything happens on this machine; nothing is downloaded.

    \b
    Example:
      personaplug demo --out demo
    """
    from rich.markup import escape

    from personaplug.cli.screen import notes, results
    from personaplug.evaluation.comparison import compare
    from personaplug.files import write_text
    from personaplug.reports.page import to_html
    from personaplug.reports.table import answers_table, comparison_table

    began, folder = perf_counter(), out / task
    notes().rule(f"[bold]{task}", align="left", style="dim")
    measured = whole_way(
        task, folder, backbone=backbone, users=users, train_queries=train_queries, test_queries=test_queries
    )
    reports = {report.label: report for report in measured}
    comparison, page = compare(reports), folder / "report.html"
    write_text(page, to_html(comparison, reports))
    shown = [report for label, report in reports.items() if label in NAMES]
    results().print(answers_table(shown, names=NAMES, count=SHOWN))
    results().print(comparison_table(comparison))
    minutes = (perf_counter() - began) / 60
    results().print(f"{minutes:.1f} minutes, all on this machine. Pictures, and all answers side by side:")
    results().print(f"  {escape(str(page))}", soft_wrap=True)


def whole_way(
    task_name: SampleTask, folder: Path, *, backbone: str, users: int, train_queries: int, test_queries: int
) -> "list[Report]":
    """Make a sample, index it, train plug and control, and measure every contender on the same queries."""
    from personaplug.cli.screen import BARS
    from personaplug.data.log import write_log
    from personaplug.data.sample import sample_log
    from personaplug.workflows.evaluate import evaluate
    from personaplug.workflows.index import index
    from personaplug.workflows.specs import QuerySpec
    from personaplug.workflows.train import train

    folder.mkdir(parents=True, exist_ok=True)
    log, store = folder / "log.jsonl", folder / "store.db"
    write_log(sample_log(task_name, users=users, seed=0), log)
    index(log, task_name, store_path=store, progress=BARS)
    run = _run(task_name, backbone=backbone, train_queries=train_queries)
    for method in TRAINED:
        _clear(folder / method)
        train(replace(run, method=method), log, out=folder / method, store=store, progress=BARS)
    queries = QuerySpec(limit=test_queries)
    return [
        evaluate(
            log,
            task_name,
            method=_spec(each.method, folder, store=store),
            queries=replace(queries, stranger=each.stranger),
            out=folder / f"{each.method}{'-stranger' if each.stranger else ''}.json",
            progress=BARS,
        )
        for each in CONTENDERS
    ]


def _spec(method: str, folder: Path, *, store: Path) -> "MethodSpec":
    from personaplug.workflows.specs import MethodSpec

    run = folder / _run_for(method)
    decoding = {"max_new_tokens": LONGEST_ANSWER}
    return MethodSpec(method, QuerySource.ENCODER, run=run, store=store, k=2, decoding=decoding)


def _run(task_name: SampleTask, *, backbone: str, train_queries: int) -> "RunConfig":
    from personaplug.backbone.loading import BackboneConfig
    from personaplug.plug.run import RunConfig, TrainingConfig

    training = TrainingConfig(
        epochs=1.0,
        queries=train_queries,
        max_input_tokens=96,
        max_output_tokens=48,
        dev_queries=max(20, train_queries // 20),
    )
    return RunConfig(task=task_name, backbone=BackboneConfig(model=backbone), training=training)


def _run_for(method: str) -> str:
    """Name the run that a contender is, or whose language model and limits it takes."""
    return method if method in TRAINED else "plug"


def _clear(run: Path) -> None:
    """Remove a run of an earlier demo, so that the demo can be repeated."""
    import shutil

    if run.exists():
        shutil.rmtree(run)
