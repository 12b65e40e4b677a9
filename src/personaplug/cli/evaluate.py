"""``personaplug evaluate``: measure a method on a task."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from personaplug.cli.options import LOG, STORE, decoding_options
from personaplug.cli.skipping import bad_rows, skipping
from personaplug.method_kinds import METHODS, RUNS
from personaplug.models.catalog import DEFAULT
from personaplug.plug.query_source import QuerySource
from personaplug.workflows.specs import MethodSpec, QuerySpec

if TYPE_CHECKING:
    from personaplug.data.log_url import LogAddress


@click.command(
    epilog="""\b
Examples:
  personaplug evaluate log.jsonl --task log --method plug --run runs/log --store log.db --out plug.json
  personaplug evaluate log.jsonl --task log --method plug --run runs/log --store log.db --stranger --out stranger.json
  personaplug evaluate log.jsonl --task log --method bm25 --backbone smollm2 --out bm25.json
  personaplug evaluate log.jsonl --task log --method ropg-kd --run runs/kd -k 2 --out kd.json
"""
)
@click.argument("log", type=LOG, metavar="LOG")
@click.option("--task", "task_name", required=True, help="A built-in task or a .toml file.")
@click.option("--split", type=click.Choice(["train", "dev", "test"]), default="test", show_default=True)
@click.option(
    "--method",
    "method_name",
    required=True,
    help=f"Of a run: {', '.join(RUNS)}. Without one: {', '.join(name for name in METHODS if name not in RUNS)}.",
)
@click.option("--run", type=click.Path(path_type=Path), help="Folder of what was trained.")
@click.option("--store", type=STORE, help="The index of the log; by default the run's own.")
@click.option(
    "--backbone",
    default=DEFAULT,
    show_default=True,
    help="The language model, as for train, where no run is.",
)
@click.option("--encoder", help="As given to index, where neither run nor store tells: for dense.")
@click.option("--stranger", is_flag=True, help="Give each query another user's history: a control.")
@click.option("--limit", type=click.IntRange(1), help="Measure so many queries, drawn with the seed.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw, the strangers and the intervals.")
@click.option(
    "-k",
    "--k",
    type=click.IntRange(1),
    help="Items in a prompt. By default 4 for retrieval, and as in training for user-lora and plug+... A text-profile "
    "is written from the latest 16.",
)
@click.option(
    "--profiles", type=click.Path(path_type=Path), help="Folder of what text-profile writes; by default beside --out."
)
@click.option(
    "--look-up",
    is_flag=True,
    help="Take a query's vector from the store where it holds the text, to compare runs on dev in less time. The "
    "report's seconds are then not those of new questions.",
)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Queries asked at once.")
@click.option(
    "--predictions", type=click.Path(path_type=Path), help="Also write the answers as LaMP's scorer reads them."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The report, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Write the scores as JSON.")
@decoding_options
@skipping
def evaluate(
    log: "LogAddress",
    task_name: str,
    method_name: str,
    *,
    as_json: bool,
    skip_bad: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Measure a method on a task.

    LOG is a file or, of Parquet, a folder of files or an address such as s3://bucket/log.

    Asks the method every query of the split and writes a report. It has the task's scores and the likelihood of the
    right answers, with 95% intervals over users. It has the same by length of history, and every answer. Put reports
    side by side with `personaplug compare`.
    """
    from personaplug.cli.screen import Bars, print_json, results
    from personaplug.reports.table import report_table
    from personaplug.workflows.evaluate import evaluate as measure

    decoding = _taken(options, "strategy", "beams", "temperature", "top_p", "max_new_tokens")
    parts = _taken(options, "run", "store", "backbone", "encoder", "k", "profiles")
    queries = QuerySpec(**_taken(options, "split", "stranger", "limit", "seed", "batch_size"))
    with bad_rows(skip_bad) as on_bad:
        source = QuerySource.STORE if options.pop("look_up") else QuerySource.ENCODER
        method = MethodSpec(method_name, source, **parts, decoding=decoding)
        report = measure(log, task_name, method=method, queries=queries, progress=Bars(on_bad), **options)
    if as_json:
        print_json({name: value for name, value in asdict(report).items() if name != "answers"})
    else:
        results().print(report_table(report))
        click.echo(f"{options['out']}: {len(report.answers):,} answers in {report.seconds:.0f} s")


def _taken(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options.pop(name) for name in names}
