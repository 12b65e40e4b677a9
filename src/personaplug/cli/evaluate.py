"""``personaplug evaluate``: measure a method on a task."""

import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from personaplug.cli.measured import MethodWords, QueryWords
from personaplug.cli.options import decoding_options
from personaplug.cli.skipping import bad_rows, skipping
from personaplug.plug.query_source import QuerySource

if TYPE_CHECKING:
    from personaplug.data.log import Interaction
    from personaplug.data.rows import OnBad
    from personaplug.data.split import Examples
    from personaplug.evaluation.cost import TrainingCost
    from personaplug.evaluation.harness import Method
    from personaplug.evaluation.report import Report
    from personaplug.tasks.task import Task


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
    help="plain, recency, random, bm25, dense, text-profile; and of a run: plug, tuned-prompt, each also with +bm25 or "
    "+dense, ropg-kd, ropg-rl, rspg-pre, rspg-post, user-lora.",
)
@click.option("--run", type=click.Path(path_type=Path), help="Folder of what was trained.")
@click.option("--store", type=click.Path(path_type=Path), help="The index of the log; by default the run's own.")
@click.option(
    "--backbone",
    default="nano",
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
    help="Items in a prompt: by default 4 for retrieval, for user-lora and plug+... as in training, for text-profile "
    "the latest 16, from which it is written.",
)
@click.option(
    "--profiles", type=click.Path(path_type=Path), help="Folder of what text-profile writes; by default beside --out."
)
@click.option(
    "--look-up",
    is_flag=True,
    help="Take a query's vector from the store where it holds the text, to compare runs on dev in less time; the "
    "report's seconds are then not those of questions that nobody has asked before.",
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

    decoding = _taken(options, "strategy", "beams", "temperature", "top_p", "max_new_tokens")
    parts = _taken(options, "run", "store", "backbone", "encoder", "k", "profiles")
    queries = QueryWords(**_taken(options, "split", "stranger", "limit", "seed", "batch_size"))
    with bad_rows(skip_bad) as on_bad:
        source = QuerySource.STORE if options.pop("look_up") else QuerySource.ENCODER
        method = MethodWords(method_name, source, **parts, decoding=decoding)
        report = measure(log, task_name, method=method, queries=queries, on_bad=on_bad, **options)
    if as_json:
        print_json({name: value for name, value in asdict(report).items() if name != "answers"})
    else:
        results().print(report_table(report))
        click.echo(f"{options['out']}: {len(report.answers):,} answers in {report.seconds:.0f} s")


def measure(
    log: Path,
    task_name: str,
    *,
    method: MethodWords,
    queries: QueryWords = QueryWords(),  # noqa: B008 (frozen)
    out: Path,
    predictions: Path | None = None,
    on_bad: "OnBad | None" = None,
) -> "Report":
    """Measure a method and write its report, with a progress bar on stderr.

    Args:
        log: The log.
        task_name: A built-in task or a .toml file.
        method: The contender.
        queries: What it is asked.
        out: The report's file.
        predictions: Also write the answers there, as LaMP's scorer reads them, in the order of the log.
        on_bad: What becomes of a row that cannot be read.
    """
    from personaplug.cli.screen import progress
    from personaplug.cli.wiring import check_method
    from personaplug.data.lamp import check_predictions, write_predictions
    from personaplug.evaluation.harness import evaluate as ask
    from personaplug.evaluation.report import Setting
    from personaplug.files import check_can_appear
    from personaplug.tasks.task import load_task

    check_method(method.name)
    task = load_task(task_name)
    # What is wrong with the task or a file shows now, not at the end.
    if predictions:
        check_predictions(task.name, path=predictions)
    places: dict[tuple[str, str], int] = {}
    out.parent.mkdir(parents=True, exist_ok=True)
    check_can_appear(out)
    own = _drawn(log, task, queries=queries, on_bad=on_bad, places=places if predictions else None)
    examples = _estranged(own, queries, method=method.name) if queries.stranger else own
    with ExitStack() as opened:
        contender = opened.enter_context(_built(method, task, queries=queries, profiles=out.parent / "profiles"))
        advance = opened.enter_context(progress(f"evaluate {contender.name}", total=len(examples)))
        report = ask(
            contender,
            task,
            examples=examples,
            setting=Setting(
                queries.split, queries.seed, "stranger" if queries.stranger else "own", _command(), this_machine()
            ),
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
    log: Path, task_name: str, *, method: MethodWords, queries: QueryWords, on_bad: "OnBad | None" = None
) -> "TrainingCost":
    """Have ``text-profile``'s descriptions written for these queries, and tell how long that took."""
    from time import perf_counter

    from personaplug.cli.screen import progress
    from personaplug.evaluation.cost import TrainingCost
    from personaplug.evaluation.harness import PreparingMethod
    from personaplug.tasks.task import load_task

    task = load_task(task_name)
    examples, size = _drawn(log, task, queries=queries, on_bad=on_bad), queries.batch_size
    assert method.profiles is not None, "who calls this says where"
    with _built(method, task, queries=queries, profiles=method.profiles) as author:
        assert isinstance(author, PreparingMethod)
        began = perf_counter()
        with progress("describe users", total=len(examples)) as advance:
            for first in range(0, len(examples), size):
                author.prepare(examples[first : first + size])
                advance(min(first + size, len(examples)))
        seconds = perf_counter() - began
    return TrainingCost(seconds, seconds / max(1, len({example.profile.user_id for example in examples})))


def _taken(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options.pop(name) for name in names}


def _drawn(
    log: Path,
    task: "Task",
    *,
    queries: QueryWords,
    on_bad: "OnBad | None",
    places: dict[tuple[str, str], int] | None = None,
) -> "Examples":
    from personaplug.cli.screen import counted
    from personaplug.data.log import read_log
    from personaplug.data.split import split_examples

    rows = counted(read_log(log, task, on_bad=on_bad), "read")
    if places is not None:
        rows = _placed(rows, places, split=queries.split)
    examples = split_examples(rows, task, split=queries.split)
    return examples.sample(queries.limit, seed=queries.seed) if queries.limit else examples


def _placed(
    rows: "Iterable[Interaction]", places: dict[tuple[str, str], int], *, split: str
) -> "Iterator[Interaction]":
    """Pass on a log's rows, and write down where each query of a split stands: a report has them user by user."""
    for number, row in enumerate(rows):
        query = row.user_id, row.item.id
        if row.split == split or (row.split != "history" and query not in places):
            places[query] = number
        yield row


def _estranged(own: "Examples", queries: QueryWords, *, method: str) -> "Examples":
    """Give each query a stranger's history: one for all of a user's queries where an adapter answers all of them."""
    from personaplug.data.stranger import count_shorter, with_one_stranger_each, with_strangers
    from personaplug.method_kinds import kind_of

    strangers = (with_one_stranger_each if kind_of(method).is_per_user else with_strangers)(own, seed=queries.seed)
    if shorter := count_shorter(own, strangers):
        click.echo(f"{shorter:,} of {len(own):,} strangers have a shorter history: nobody has a longer one", err=True)
    return strangers


@contextmanager
def _built(method: MethodWords, task: "Task", *, queries: QueryWords, profiles: Path) -> "Iterator[Method]":
    """Build the contender, its store open for as long as it is asked."""
    from personaplug.cli.wiring import MethodOptions, build_method, store_of
    from personaplug.plug.run import decoding_of
    from personaplug.store.sqlite import PersonaStore

    path = method.store or (store_of(method.run) if method.run else None)
    given = {name: value for name, value in method.decoding.items() if value is not None}
    words: dict[str, Any] = {"seed": queries.seed, **given}
    own = decoding_of(method.run)
    with PersonaStore.open(path) if path else nullcontext() as store:
        options = MethodOptions(
            run=method.run,
            store=store,
            backbone=method.backbone,
            encoder=method.encoder,
            k=method.k,
            generation=replace(own, **words),
            profiles=method.profiles or profiles,
            query_source=method.query_source,
        )
        yield build_method(method.name, task, options=options)


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
