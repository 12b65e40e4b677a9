"""``personaplug studio``: a page on which a person sees a persona work."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from personaplug.cli.options import STORE

if TYPE_CHECKING:
    from personaplug.store.address import Address
    from personaplug.studio.studio import Studio


@click.command()
@click.option("--run", type=click.Path(path_type=Path), required=True, help="Folder of a trained plug.")
@click.option("--store", type=STORE, help="The users' histories; by default the run's own index.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The default is this machine alone.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="0: any that is free.")
def studio(run: Path, store: "Address | None", host: str, port: int) -> None:
    """Open a page on which a person sees a persona work.

    Choose a user or paste a history, and type an input. See the answers with and without persona side by side, with the
    memories by weight. Append a memory and see the answer change. Forget the user. Appending and forgetting change
    the store. Whoever reaches the page sees all that is in it: there are no passwords.

    \b
    Example:
      personaplug studio --run demo/sample-headlines/plug --store demo/sample-headlines/store.db
    """
    from personaplug.errors import MissingExtraError
    from personaplug.ports import address_of, is_loopback, listen

    try:
        from personaplug.studio.server import build_app, server
        from personaplug.studio.sessions import Sessions
    except ModuleNotFoundError as error:
        raise MissingExtraError("the studio", extra="studio") from error
    with listen(host, port) as bound, Sessions(open_studio(run, store)) as sessions:
        app = build_app(sessions, host=host)
        if not is_loopback(host):
            click.echo(f"Warning: whoever can reach {host} can read, change and forget users here.", err=True)
        click.echo(f"The studio is open: {address_of(bound)}  (Ctrl+C closes it)", err=True)
        with suppress(KeyboardInterrupt):
            server(app).run(sockets=[bound])


@contextmanager
def open_studio(run: Path, store: "Address | None") -> "Iterator[Studio]":
    """Load a run and its store; the thread that enters is the one that may use them."""
    from personaplug.studio.studio import Studio
    from personaplug.workflows.methods import open_run

    with open_run(run, store) as plug:
        yield Studio(plug, plug.frozen_encoder())
