"""``personaplug index``: encode what is new in a log into a store."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from personaplug.cli.options import LOG, STORE
from personaplug.cli.ray_option import cluster_at, ray_option
from personaplug.cli.skipping import bad_rows, skipping

if TYPE_CHECKING:
    from personaplug.data.log_url import LogAddress
    from personaplug.store.address import Address
    from personaplug.store.indexing import IndexCounts


@click.command(
    epilog="""\b
Examples:
  personaplug index log.jsonl --task log --store log.db
  personaplug index log.parquet --task log --store log.db --ray
"""
)
@click.argument("log", type=LOG, metavar="LOG")
@click.option("--task", "task_name", required=True, help="A built-in task or a .toml file.")
@click.option(
    "--store", "store_path", type=STORE, required=True, help="The store, a file or postgresql://...; made if absent."
)
@click.option(
    "--encoder",
    help="minilm, a Hugging Face name, or a folder; by default the preset's: minilm. A language model (smollm2, "
    "a name, a folder, a .gguf file) encodes by its own states.",
)
@click.option(
    "--layer",
    type=click.IntRange(min=1),
    help="Of a language model: its layers that a text goes through; by default half of them.",
)
@click.option(
    "--preset",
    type=click.Choice(["default", "paper"]),
    default="default",
    show_default=True,
    help="For whose settings: `train --preset paper` reads other texts of an item where the task says so.",
)
@click.option("--reuse", type=STORE, multiple=True, help="A store of the same encoder; repeatable.")
@ray_option("Encode")
@click.option(
    "--ray-actors",
    type=click.IntRange(min=1),
    help="Encoders side by side; by default one on each GPU of the cluster or, where there is none, on each CPU.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the counts as JSON.")
@skipping
def index(
    log: "LogAddress",
    task_name: str,
    store_path: "Address",
    encoder: str | None,
    layer: int | None,
    preset: str,
    reuse: "tuple[Address, ...]",
    ray_address: str | None,
    ray_actors: int | None,
    as_json: bool,
    skip_bad: bool,
) -> None:
    """Encode what is new in a log into a store.

    LOG is a file or, of Parquet, a folder of files or an address such as s3://bucket/log.
    Each text is encoded once, whoever wrote it; a text found in a store named with --reuse is not encoded at all.
    The whole log is checked first: of one that is refused, nothing is stored.
    Interrupt it whenever you like: the same command goes on from there.
    With --ray a cluster encodes; the store is the same, to the bit.
    """
    from personaplug.cli.screen import Bars, print_json
    from personaplug.plug.encoders import encoder_config
    from personaplug.plug.run import PRESETS
    from personaplug.workflows.index import index as index_log

    if ray_actors and not ray_address:
        raise click.UsageError("--ray-actors says how many encode with --ray: give that too")
    run = PRESETS[preset]
    with bad_rows(skip_bad) as on_bad:
        counts = index_log(
            log,
            task_name,
            store_path=store_path,
            encoder=replace(encoder_config(encoder or run.encoder.model), layer=layer or 0),
            published_views=run.published_views,
            reuse=reuse,
            ray=cluster_at(ray_address, ray_actors) if ray_address else None,
            progress=Bars(on_bad),
        )
    if as_json:
        print_json(counts)
    else:
        click.echo(f"{store_path}: {_in_words(counts)}")


def _in_words(counts: "IndexCounts") -> str:
    repeated = f" {counts.repeated_rows:,} repeat an earlier row," if counts.repeated_rows else ""
    return (
        f"{counts.new_items:,} new items from {counts.rows:,} rows ({counts.skipped_existing:,} were there already,"
        f"{repeated} {counts.skipped_questions:,} have no output); {counts.encoded_texts:,} texts encoded,"
        f" {counts.reused_texts:,} known before"
    )
