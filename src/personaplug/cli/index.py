"""``personaplug index``: encode what is new in a log into a store."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

from personaplug.cli.skipping import bad_rows, skipping

if TYPE_CHECKING:
    from personaplug.data.rows import OnBad
    from personaplug.store.indexing import IndexCounts


@click.command(
    epilog="""\b
Example:
  personaplug index log.jsonl --task log --store log.db
"""
)
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--task", "task_name", required=True, help="A built-in task or a .toml file.")
@click.option(
    "--store", "store_path", type=click.Path(path_type=Path), required=True, help="The store; made if absent."
)
@click.option("--encoder", help="minilm, a Hugging Face name, or a folder; by default the preset's: minilm.")
@click.option(
    "--preset",
    type=click.Choice(["default", "paper"]),
    default="default",
    show_default=True,
    help="For whose settings: `train --preset paper` reads other texts of an item where the task says so.",
)
@click.option(
    "--reuse", type=click.Path(path_type=Path), multiple=True, help="A store of the same encoder; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Write the counts as JSON.")
@skipping
def index(
    log: Path,
    task_name: str,
    store_path: Path,
    encoder: str | None,
    preset: str,
    reuse: tuple[Path, ...],
    as_json: bool,
    skip_bad: bool,
) -> None:
    """Encode what is new in a log into a store.

    Each text is encoded once, whoever wrote it; a text found in a store named with --reuse is not encoded at all.
    The whole log is checked first: of one that is refused, nothing is stored.
    Interrupt it whenever you like: the same command goes on from there.
    """
    from personaplug.cli.screen import print_json
    from personaplug.plug.run import PRESETS

    run = PRESETS[preset]
    with bad_rows(skip_bad) as on_bad:
        counts = fill_store(
            log,
            task_name,
            store_path=store_path,
            encoder=encoder or run.encoder.model,
            published_views=run.published_views,
            reuse=reuse,
            on_bad=on_bad,
        )
    if as_json:
        print_json(counts)
    else:
        click.echo(f"{store_path}: {_in_words(counts)}")


def _fingerprint_in(path: Path) -> str:
    """Read which encoder made a store's vectors; empty where there is no store yet."""
    from personaplug.store.sqlite import PersonaStore

    if not path.exists():
        return ""
    with PersonaStore.open(path) as store:
        return store.layout.fingerprint


def fill_store(
    log: Path,
    task_name: str,
    *,
    store_path: Path,
    encoder: str = "minilm",
    published_views: bool = False,
    reuse: Iterable[Path] = (),
    on_bad: "OnBad | None" = None,
) -> "IndexCounts":
    """Index a log into a store, with a progress bar on stderr; nothing is stored of a log that is refused."""
    from personaplug.cli.screen import counted, progress
    from personaplug.data.log import read_log
    from personaplug.plug.device import start_torch
    from personaplug.plug.encoders import encode_with, encoder_config, load_encoder
    from personaplug.store.base import StoreLayout
    from personaplug.store.indexing import check_ids
    from personaplug.store.indexing import index as index_log
    from personaplug.store.sqlite import PersonaStore
    from personaplug.tasks.task import load_task

    task = load_task(task_name)
    task = task.as_published() if published_views else task
    rows = read_log(log, task, on_bad=on_bad)
    if log.is_file():  # and no pipe, which can be read once
        check_ids(counted(rows, "check"))
        rows = read_log(log, task, on_bad=lambda _: None)  # bad rows have been told of
    reader = load_encoder(encoder_config(encoder), like=_fingerprint_in(store_path), device=start_torch())
    with ExitStack() as opened:
        others = [opened.enter_context(PersonaStore.open(path)) for path in reuse]
        layout = StoreLayout(reader.fingerprint, task.views, reader.dim)
        store = opened.enter_context(PersonaStore.open(store_path, layout=layout))
        advance = opened.enter_context(progress("index"))
        began = perf_counter()
        return index_log(
            rows,
            store,
            encode=encode_with(reader),
            reuse=others,
            progress=lambda now: advance(now.rows, _rate(now.encoded_texts, perf_counter() - began)),
        )


def _rate(texts: int, seconds: float) -> str:
    return f"{texts:,} texts encoded, {texts / seconds:,.0f} a second"


def _in_words(counts: "IndexCounts") -> str:
    repeated = f" {counts.repeated_rows:,} repeat an earlier row," if counts.repeated_rows else ""
    return (
        f"{counts.new_items:,} new items from {counts.rows:,} rows ({counts.skipped_existing:,} were there already,"
        f"{repeated} {counts.skipped_questions:,} have no output); {counts.encoded_texts:,} texts encoded,"
        f" {counts.reused_texts:,} known before"
    )
