"""``personaplug persona``: look after the users of a store."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from personaplug.cli.options import STORE

if TYPE_CHECKING:
    from personaplug.records import HistoryItem
    from personaplug.store.address import Address
    from personaplug.store.indexing import LogRow
    from personaplug.store.persona_store import PersonaStore, UserSummary

in_store = click.option("--store", "path", type=STORE, required=True, help="The store: its file, or postgresql://...")
as_json_too = click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")


@click.group(
    epilog="""\b
Examples:
  personaplug persona list --store log.db
  personaplug persona forget --store log.db ada
"""
)
def persona() -> None:
    """List, show, extend, export and forget users."""


@persona.command("list", epilog="Example: personaplug persona list --store log.db")
@in_store
@as_json_too
def list_users(path: "Address", as_json: bool) -> None:
    """List the users, with how many items each has, and from when to when."""
    from personaplug.cli.screen import print_json, printable

    with _opened(path) as store:
        summaries = (store.summary(user_id) for user_id in store.users())
        if as_json:
            print_json([asdict(summary) for summary in summaries])
            return
        for summary in summaries:
            click.echo(f"{printable(summary.user_id)}\t{_extent(summary)}")


@persona.command(epilog="Example: personaplug persona show --store log.db ada --text")
@in_store
@click.argument("user")
@click.option("--text", "with_text", is_flag=True, help="Show what the user wrote, too.")
@as_json_too
def show(path: "Address", user: str, with_text: bool, as_json: bool) -> None:
    """Show how much a store holds of a user, and by which encoder."""
    from personaplug.cli.screen import print_json, printable

    with _opened(path) as store:
        summary, layout = store.summary(user), store.layout
        items = [_row(user, item) for item in store.get(user).items] if with_text else []
    if as_json:
        print_json({**asdict(summary), "layout": asdict(layout), **({"rows": items} if with_text else {})})
        return
    click.echo(f"{printable(user)}: {_extent(summary)}")
    click.echo(f"encoder: {printable(layout.fingerprint)}")
    click.echo(f"views: {', '.join(map(repr, layout.views))}")
    for item in items:
        shown = {name: printable(text) for name, text in item.items()}
        click.echo(f"\n{shown['time']}  {shown['id']}\n  input: {shown['input']}\n  output: {shown['output']}")


@persona.command(
    epilog="""\b
Examples:
  personaplug persona append --store log.db ada --input "Night falls on the harbour" --output "Harbour at night"
  personaplug persona append --store log.db ada --log ada.jsonl
"""
)
@in_store
@click.argument("user")
@click.option("--log", type=click.Path(path_type=Path), help="A log of this user: user_id, time, input, output.")
@click.option("--input", "input_text", help="What the user read.")
@click.option("--output", "output_text", help="What they answered.")
@click.option("--time", "time_text", help="When (ISO 8601, or seconds since 1970); now by default.")
@click.option("--encoder", help="As given to index, where the store's own fingerprint does not tell its name.")
@as_json_too
def append(
    path: "Address",
    user: str,
    log: Path | None,
    input_text: str | None,
    output_text: str | None,
    time_text: str | None,
    encoder: str | None,
    as_json: bool,
) -> None:
    """Add to a user's history: one item, or a log of the user's own."""
    from personaplug.backbone.device import start_torch
    from personaplug.cli.screen import print_json, printable
    from personaplug.plug.encoders import encode_with, encoder_of
    from personaplug.store.indexing import check_ids, index

    if (log is None) == (input_text is None) or (input_text is None) != (output_text is None):
        raise click.UsageError("give either --log, or --input with --output")
    rows = (
        list(_rows_of(user, log))
        if log
        else [_one_row(user, input_text or "", output_text=output_text or "", time_text=time_text)]
    )
    check_ids(rows)
    with _opened(path) as store:
        counts = index(rows, store, encode=encode_with(encoder_of(store.layout, name=encoder, device=start_torch())))
        summary = store.summary(user)
    if as_json:
        print_json({**asdict(counts), **asdict(summary)})
    else:
        click.echo(f"{printable(user)}: {counts.new_items:,} new, now {_extent(summary)}")


@persona.command(
    epilog="""\b
Examples:
  personaplug persona forget --store log.db ada bob --yes
  personaplug persona forget --store log.db ada --also runs --also reports --also log.jsonl
"""
)
@in_store
@click.argument("users", nargs=-1, required=True)
@click.option(
    "--also",
    "places",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A file or folder to look for copies in, which are named; repeatable.",
)
@click.option("--remove", "is_removing", is_flag=True, help="Delete the users' own adapters and profiles found there.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@as_json_too
def forget(
    path: "Address", users: Sequence[str], places: Sequence[Path], is_removing: bool, is_sure: bool, as_json: bool
) -> None:
    """Remove users, and every byte of them from the store's files.

    The file is written anew, which takes a while if it is large; forget many users at once. Snapshots that were made
    from the store are deleted. Logs, runs and reports are not touched. --also names those that hold copies, by the
    users' ids and texts. --remove deletes the folders among them that hold one user's adapter or profile.
    """
    from personaplug.cli.screen import print_json, printable

    if is_removing and not places:
        raise click.UsageError("--remove goes with --also")
    if places:
        from personaplug.cli.forgetting import copies_of, held_of, in_words, remove  # slow: it knows what runs hold
    named = ", ".join(map(printable, users))
    with _opened(path) as store:
        if not is_sure:
            click.confirm(f"Forget {named} in {path} for good?", abort=True, err=True)
        was_cut_short = store.has_remains
        copies = copies_of(users, store, places) if places else []
        held = held_of(users, store) if places else users
        gone = store.forget(*held)
    removed = remove(copies) if is_removing else []
    if as_json:
        told = {"users": list(users), "items": gone, "finished_earlier": was_cut_short}
        copied = [{**asdict(copy), "is_removed": copy in removed} for copy in copies]
        print_json({**told, "copies": copied} if places else told)
        return
    if was_cut_short:
        click.echo(f"{path}: finished an earlier forget that was cut short")
    forgotten = [user for user in users if gone and user in held]
    if forgotten:
        click.echo(f"{path}: forgot {', '.join(map(printable, forgotten))}, {gone:,} items")
    if absent := [user for user in users if user not in forgotten]:
        click.echo(f"{path}: of {', '.join(map(printable, absent))} there is nothing left")
    for copy in copies:
        click.echo(f"{printable(str(copy.path))}: {'removed' if copy in removed else in_words(copy)}")


@persona.command(epilog="Example: personaplug persona export --store log.db ada > ada.jsonl")
@in_store
@click.argument("user")
def export(path: "Address", user: str) -> None:
    """Write all that a store holds of a user on stdout, as a log in JSON Lines, in UTF-8.

    NUL, which no log may hold, becomes U+FFFD.
    """
    from personaplug.cli.screen import as_json
    from personaplug.data.log import readable

    with _opened(path) as store:
        for item in store.get(user).items:
            click.echo(f"{as_json(readable(_row(user, item)))}\n".encode(), nl=False)


@contextmanager
def _opened(path: "Address") -> "Iterator[PersonaStore]":
    from personaplug.store.persona_store import PersonaStore

    with PersonaStore.open(path) as store:
        yield store


def _extent(summary: "UserSummary") -> str:
    return f"{summary.items:,} items\t{summary.first:%Y-%m-%d} to {summary.last:%Y-%m-%d}"


def _row(user: str, item: "HistoryItem") -> dict[str, Any]:
    return {
        "user_id": user,
        "time": item.time.isoformat(),
        "id": item.id,
        "input": item.input,
        "output": item.output,
    }


def _rows_of(user: str, log: Path) -> "Iterator[LogRow]":
    from personaplug.data.log import read_log
    from personaplug.errors import DataError
    from personaplug.tasks.task import load_task

    for row in read_log(log, load_task("log"), user=user):
        if row.user_id != user:
            raise DataError(
                f"holds a row of user {row.user_id!r}, not only of {user!r}",
                path=log,
                hint="a log of many users goes into the store by personaplug index",
            )
        yield row


def _one_row(user: str, input_text: str, *, output_text: str, time_text: str | None) -> "LogRow":
    from personaplug.data.log import Interaction, content_id
    from personaplug.data.times import parse_time
    from personaplug.records import HistoryItem

    try:
        time = parse_time(time_text) if time_text else datetime.now(UTC)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--time") from error
    item_id = content_id(user, time, text=input_text, output=output_text)
    return Interaction(user, HistoryItem(item_id, input_text, output_text, time))
