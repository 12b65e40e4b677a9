"""``personaplug evaluate``: measure a method on a task."""

import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from personaplug.cli.options import decoding_options
from personaplug.cli.skipping import bad_rows, skipping

if TYPE_CHECKING:
    from personaplug.errors import DataError
    from personaplug.evaluation.report import Report
    from personaplug.tasks.task import Split


@click.command(
    epilog="""\b
Examples:
  personaplug evaluate log.jsonl --task log --method plug --run runs/log --store log.db --out plug.json
  personaplug evaluate log.jsonl --task log --method plug --run runs/log --store log.db --stranger --out stranger.json
  personaplug evaluate log.jsonl --task log --method bm25 --backbone nano --out bm25.json
  personaplug evaluate log.jsonl --task log --method ropg-kd --run runs/kd -k 2 --out kd.json
"""
)
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--task", "task_name", required=True, help="A built-in task or a .toml file.")
@click.option("--split", type=click.Choice(["train", "dev", "test"]), default="test", show_default=True)
@click.option(
    "--method",
    "method_name",
    required=True,
    help="plain, tuned-prompt, recency, random, bm25, dense, ropg-kd, ropg-rl, rspg-pre, rspg-post, plug, plug+bm25, "
    "plug+dense, user-lora or text-profile.",
)
@click.option("--run", type=click.Path(path_type=Path), help="Folder of what was trained.")
@click.option("--store", type=click.Path(path_type=Path), help="The index of the log; by default the run's own.")
@click.option("--backbone", default="nano", show_default=True, help="The language model, where there is no run.")
@click.option("--encoder", help="As given to index, where neither run nor store tells: for dense.")
@click.option("--stranger", is_flag=True, help="Give each query another user's history: a control.")
@click.option("--limit", type=click.IntRange(1), help="Measure so many queries, drawn with the seed.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw, the strangers and the intervals.")
@click.option(
    "-k",
    "--k",
    type=click.IntRange(1),
    help="Items in a prompt: by default 4 for retrieval, for user-lora and plug+... as in training, for text-profile "
    "the latest 16, from which it is written.",
)
@click.option(
    "--profiles", type=click.Path(path_type=Path), help="Folder of what text-profile writes; by default beside --out."
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
    log: Path,
    task_name: str,
    method_name: str,
    *,
    as_json: bool,
    skip_bad: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Measure a method on a task.

    Asks the method every query of the split and writes a report: the task's scores and the likelihood of the right
    answers, with 95% intervals over users, the same by length of history, and every answer. Put reports side by side
    with `personaplug compare`.
    """
    from personaplug.cli.screen import print_json, results
    from personaplug.evaluation.table import report_table

    decoding = {name: options.pop(name) for name in ("strategy", "beams", "temperature", "top_p", "max_new_tokens")}
    with bad_rows(skip_bad) as on_bad:
        report = measure(log, task_name, method_name, on_bad=on_bad, decoding=decoding, **options)
    if as_json:
        print_json({name: value for name, value in asdict(report).items() if name != "answers"})
    else:
        results().print(report_table(report))
        click.echo(f"{options['out']}: {len(report.answers):,} answers in {report.seconds:.0f} s")


def measure(
    log: Path,
    task_name: str,
    method_name: str,
    *,
    out: Path,
    split: "Split" = "test",
    run: Path | None = None,
    store: Path | None = None,
    backbone: str = "nano",
    encoder: str | None = None,
    stranger: bool = False,
    limit: int | None = None,
    seed: int = 0,
    k: int | None = None,
    profiles: Path | None = None,
    batch_size: int = 32,
    predictions: Path | None = None,
    decoding: Mapping[str, Any] | None = None,
    on_bad: "Callable[[DataError], None] | None" = None,
) -> "Report":
    """Measure a method and write its report, with a progress bar on stderr."""
    from personaplug.cli.screen import counted, progress
    from personaplug.cli.wiring import MethodOptions, build_method, check_method, store_of
    from personaplug.data.lamp import write_predictions
    from personaplug.data.log import read_log
    from personaplug.data.split import split_examples
    from personaplug.data.stranger import count_shorter, with_strangers
    from personaplug.evaluation.harness import evaluate as ask
    from personaplug.evaluation.report import Setting
    from personaplug.plug.backbone import GenerationConfig
    from personaplug.store.sqlite import PersonaStore
    from personaplug.tasks.task import load_task

    check_method(method_name)
    task = load_task(task_name)
    if predictions:
        # What is wrong with the task or the file shows now, not at the end.
        write_predictions(task.name, (), predictions)
    out.parent.mkdir(parents=True, exist_ok=True)
    own = split_examples(counted(read_log(log, task, on_bad=on_bad), "read"), task, split)
    own = own.sample(limit, seed=seed) if limit else own
    examples = with_strangers(own, seed=seed) if stranger else own
    if shorter := count_shorter(own, examples):
        click.echo(f"{shorter:,} of {len(own):,} strangers have a shorter history: nobody has a longer one", err=True)
    profiles = profiles or out.parent / "profiles"
    store = store or (store_of(run) if run else None)
    with ExitStack() as opened:
        opened_store = opened.enter_context(PersonaStore.open(store)) if store else None
        generation = GenerationConfig(**{"seed": seed, **(decoding or {})})
        options = MethodOptions(run, opened_store, backbone, encoder, k=k, generation=generation, profiles=profiles)
        method = build_method(method_name, task, options)
        advance = opened.enter_context(progress(f"evaluate {method.name}", total=len(examples)))
        report = ask(
            method,
            task,
            examples,
            setting=Setting(split, seed, "stranger" if stranger else "own", _command(), this_machine()),
            query_users=[example.profile.user_id for example in own],
            batch_size=batch_size,
            progress=advance,
        )
    report = _with_gpu_memory(report)
    report.write(out)
    if predictions:
        write_predictions(task.name, [(answer.id, answer.prediction) for answer in report.answers], predictions)
    return report


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _with_gpu_memory(report: "Report") -> "Report":
    import torch

    if report.cost is None or not torch.cuda.is_available():
        return report
    return replace(report, cost=replace(report.cost, gpu_memory_mb=torch.cuda.max_memory_allocated() / 1e6))


def this_machine() -> str:
    """Describe the machine with its GPU, if torch has one."""
    import torch

    from personaplug.evaluation.machine import describe_machine

    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    return ", ".join([describe_machine(), *gpu])
