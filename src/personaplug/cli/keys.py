"""``personaplug keys``: who may call a server."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from personaplug.serving.api.keys import KeyFile, Right

in_file = click.option("--keys", "path", type=click.Path(path_type=Path), required=True, help="The file of keys.")


@click.group(
    epilog="""\b
Examples:
  personaplug keys add --keys keys.json --name laptop
  personaplug keys add --keys keys.json --name shop --tenant shop --right generate --right write
  personaplug keys revoke --keys keys.json 1f0c9a2b
"""
)
def keys() -> None:
    """Make, list and revoke the API keys of a server, which sees changes at once."""


@keys.command(epilog="Example: personaplug keys add --keys keys.json --name laptop --right generate")
@in_file
@click.option("--name", required=True, help="Whose or what for.")
@click.option("--tenant", default="", help="Whose users it sees; by default those of the store as it was indexed.")
@click.option(
    "--right",
    "rights",
    type=click.Choice(["generate", "read", "write", "admin"]),
    multiple=True,
    help="What it may do; several times for several. By default generate, read and write.",
)
def add(path: Path, name: str, tenant: str, rights: "tuple[Right, ...]") -> None:
    """Make a key and write it on stdout, this once: the file holds its hash alone."""
    click.echo(_file(path).add(name, tenant=tenant, rights=rights or ("generate", "read", "write")))


@keys.command("list", epilog="Example: personaplug keys list --keys keys.json")
@in_file
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def list_keys(path: Path, as_json: bool) -> None:
    """List the keys: id, name, tenant, rights, and when each was made."""
    from personaplug.cli.screen import print_json, printable

    held = _file(path).keys
    shown = [{"id": k.id, "name": k.name, "tenant": k.tenant, "rights": k.rights, "made": k.made} for k in held]
    if as_json:
        print_json(shown)
        return
    for key in held:
        click.echo(
            f"{key.id}\t{printable(key.name)}\t{printable(key.tenant or '-')}\t{','.join(key.rights)}\t{key.made}"
        )


@keys.command(epilog="Example: personaplug keys revoke --keys keys.json 1f0c9a2b")
@in_file
@click.argument("key_id", metavar="ID")
def revoke(path: Path, key_id: str) -> None:
    """Revoke a key by its id; the next request with it is refused."""
    from personaplug.cli.screen import printable

    click.echo(f"revoked {key_id}, {printable(_file(path).revoke(key_id).name)}")


def _file(path: Path) -> "KeyFile":
    from personaplug.serving.api.keys import KeyFile

    return KeyFile(path)
