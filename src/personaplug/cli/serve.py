"""``personaplug serve``: answer for many users, over HTTP."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from personaplug.cli.options import STORE

if TYPE_CHECKING:
    from personaplug.store.address import Address


@click.command()
@click.option(
    "--run",
    "runs",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="Folder of a trained plug, which answers to the folder's name; several for several models.",
)
@click.option("--store", type=STORE, required=True, help="The users' histories: a file, or postgresql://...")
@click.option("--keys", type=click.Path(path_type=Path), help="The API keys: see personaplug keys.")
@click.option("--open", "is_open", is_flag=True, help="Ask for no keys; on this machine alone.")
@click.option(
    "--engine",
    type=click.Choice(["local", "vllm"]),
    default="local",
    show_default=True,
    help="Who runs the language model: this process, or a vLLM server.",
)
@click.option("--url", help="Of the vLLM server, for --engine vllm; its key in VLLM_API_KEY.")
@click.option(
    "--adapters",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that vLLM sees by the same path: runs' adapters that it lacks are put there, and it loads them.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any free one.")
@click.option("--batch-rows", type=click.IntRange(1), default=32, show_default=True, help="Questions answered at once.")
@click.option("--queue", type=click.IntRange(1), default=512, show_default=True, help="Questions that may wait.")
@click.option(
    "--answer-tokens", type=click.IntRange(1), default=512, show_default=True, help="Longest answer in tokens."
)
@click.option(
    "--requests-per-minute", type=click.IntRange(0), default=600, show_default=True, help="Of one key; 0: any number."
)
def serve(
    runs: tuple[Path, ...],
    store: "Address",
    keys: Path | None,
    is_open: bool,
    engine: str,
    url: str | None,
    adapters: Path | None,
    host: str,
    port: int,
    batch_rows: int,
    queue: int,
    answer_tokens: int,
    requests_per_minute: int,
) -> None:
    """Serve plugs over HTTP, for OpenAI's clients and with a persona for each user.

    \b
    Examples:
      personaplug serve --run runs/headlines --store log.db --open
      personaplug serve --run runs/headlines --run runs/tags --store log.db --keys keys.json --host 0.0.0.0
      personaplug serve --run runs/llama --store log.db --open --engine vllm --url http://localhost:8080
    """
    if (keys is None) != is_open:
        raise click.UsageError("give either --keys, or --open for no keys on this machine alone")
    if (url is None) is (engine == "vllm"):
        raise click.UsageError("--engine vllm and --url belong together")
    if adapters and engine != "vllm":
        raise click.UsageError("--adapters goes with --engine vllm")
    _need_extra()
    from personaplug.backbone.device import start_torch
    from personaplug.ports import address_of
    from personaplug.serving.api.access import KeyAccess, OpenAccess
    from personaplug.serving.api.keys import KeyFile
    from personaplug.serving.api.server import listen_for
    from personaplug.serving.api.server import serve as serve_at
    from personaplug.serving.api.service import ServedPaths, Service
    from personaplug.serving.engine.engine import EngineConfig
    from personaplug.serving.engine.limits import Limits

    service = Service(
        ServedPaths(_named(runs), store, start_torch(), vllm=url or "", adapters=adapters),
        KeyAccess(KeyFile(keys)) if keys else OpenAccess(),
        limits=Limits(answer_tokens=answer_tokens, requests_per_minute=0 if is_open else requests_per_minute),
        config=EngineConfig(batch_rows=batch_rows, queue=queue),
    )
    with listen_for(service, host=host, port=port) as bound:
        service.open()
        click.echo(f"Serving {', '.join(service.paths.runs)} on {address_of(bound)}", err=True)
        serve_at(service, bound)


def _named(runs: tuple[Path, ...]) -> dict[str, Path]:
    named = {run.resolve().name: run for run in runs}
    if len(named) < len(runs):
        raise click.UsageError("two of these folders have one name, by which a client could not tell them apart")
    return named


def _need_extra() -> None:
    from personaplug.errors import MissingExtraError

    if not all(find_spec(name) for name in ("fastapi", "uvicorn", "prometheus_client", "httpx2")):
        raise MissingExtraError("a server", extra="serve")
