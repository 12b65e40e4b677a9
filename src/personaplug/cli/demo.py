"""``personaplug demo``: the whole way on sample data, from a log to a report."""

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import click

from personaplug.plug.query_source import QuerySource

if TYPE_CHECKING:
    from personaplug.evaluation.report import Report

SampleTask = Literal["sample-tags", "sample-headlines"]
TASKS: tuple[SampleTask, ...] = ("sample-tags", "sample-headlines")


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the demo's table.

    Attributes:
        method: As given to ``evaluate --method``.
        stranger: Give it another user's history.
    """

    method: str
    stranger: bool = False


CONTENDERS = (
    Contender("plain"),
    Contender("tuned-prompt"),
    Contender("bm25"),
    Contender("plug"),
    Contender("plug", stranger=True),
)


LEARNING_RATE = 1e-3
"""Made-up tastes are strong and the steps few: five times the rate that real logs want."""


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for all that is made; what an earlier demo left there is made anew.",
)
@click.option(
    "--task", "tasks", type=click.Choice(TASKS), multiple=True, help="Only this sample task; both by default."
)
@click.option("--users", type=click.IntRange(40), default=300, show_default=True, help="Users in the sample.")
@click.option(
    "--train", "train_queries", type=click.IntRange(32), default=1000, show_default=True, help="Queries to train on."
)
@click.option(
    "--test", "test_queries", type=click.IntRange(20), default=120, show_default=True, help="Queries to measure."
)
def demo(out: Path, tasks: tuple[SampleTask, ...], users: int, train_queries: int, test_queries: int) -> None:
    """Go the whole way on synthetic users: sample data, index, train, evaluate, report.

    Everything happens on this machine with the embedded language model; nothing is downloaded.

    \b
    Example:
      personaplug demo --out demo
    """
    from rich.markup import escape

    from personaplug.cli.screen import notes, results
    from personaplug.evaluation.comparison import compare
    from personaplug.evaluation.page import to_html
    from personaplug.evaluation.table import comparison_table
    from personaplug.files import write_text

    began, pages = perf_counter(), []
    for task in tasks or TASKS:
        notes().rule(f"[bold]{task}", align="left", style="dim")
        folder = out / task
        measured = whole_way(task, folder, users=users, train_queries=train_queries, test_queries=test_queries)
        reports = {report.label: report for report in measured}
        comparison = compare(reports)
        page = folder / "report.html"
        write_text(page, to_html(comparison, reports))
        pages.append(page)
        results().print(comparison_table(comparison))
    minutes = (perf_counter() - began) / 60
    results().print(f"{minutes:.1f} minutes, all on this machine. Pictures, and answers side by side:")
    for page in pages:
        results().print(f"  {escape(str(page))}", soft_wrap=True)


def whole_way(
    task_name: SampleTask, folder: Path, *, users: int, train_queries: int, test_queries: int
) -> "list[Report]":
    """Make a sample, index it, train plug and control, and measure every contender on the same queries."""
    from personaplug.cli.screen import BARS
    from personaplug.data.log import write_log
    from personaplug.data.sample import sample_log
    from personaplug.plug.run import RunConfig, TrainingConfig
    from personaplug.workflows.evaluate import evaluate
    from personaplug.workflows.index import index
    from personaplug.workflows.specs import MethodWords, QueryWords
    from personaplug.workflows.train import train

    folder.mkdir(parents=True, exist_ok=True)
    log, store = folder / "log.jsonl", folder / "store.db"
    write_log(sample_log(task_name, users=users, seed=0), log)
    index(log, task_name, store_path=store, progress=BARS)
    training = TrainingConfig(
        epochs=1.0,
        queries=train_queries,
        learning_rate=LEARNING_RATE,
        max_input_tokens=96,
        max_output_tokens=48,
        dev_queries=max(20, train_queries // 20),
    )
    run = RunConfig(task=task_name, training=training)
    for method in ("tuned-prompt", "plug"):
        _clear(folder / method)
        train(replace(run, method=method), log, out=folder / method, store=store, progress=BARS)
    queries = QueryWords(limit=test_queries)
    return [
        evaluate(
            log,
            task_name,
            method=MethodWords(each.method, QuerySource.ENCODER, run=folder / _run_for(each.method), store=store, k=2),
            queries=replace(queries, stranger=each.stranger),
            out=folder / f"{each.method}{'-stranger' if each.stranger else ''}.json",
            progress=BARS,
        )
        for each in CONTENDERS
    ]


def _run_for(method: str) -> str:
    """Name the run that a contender is, or whose language model and limits it takes."""
    return method if method == "tuned-prompt" else "plug"


def _clear(run: Path) -> None:
    """Remove a run of an earlier demo, so that the demo can be repeated."""
    import shutil

    if run.exists():
        shutil.rmtree(run)
