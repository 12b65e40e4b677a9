"""``personaplug store``: what is done with a store as a whole."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from personaplug.cli.options import STORE

if TYPE_CHECKING:
    from personaplug.store.address import Address


@click.group(
    epilog="""\b
Example:
  personaplug store copy log.db postgresql://personaplug@db.example/personas
"""
)
def store() -> None:
    """Copy a store, or let a tenant's role into one in Postgres."""


@store.command(
    epilog="""\b
Examples:
  personaplug store copy log.db postgresql://personaplug@db.example/personas
  personaplug store copy postgresql://personaplug@db.example/personas copy.db
"""
)
@click.argument("source", metavar="FROM", type=STORE)
@click.argument("target", metavar="TO", type=STORE)
@click.option("--json", "as_json", is_flag=True, help="Write the counts as JSON.")
def copy(source: "Address", target: "Address", as_json: bool) -> None:
    """Copy all users of one store into another, then compare the two.

    Each is a file or postgresql://...; TO is made if absent, and may hold nobody whom FROM does not hold. A copy that
    was interrupted goes on with the same command. In the end both are read whole: the number of users and items, and a
    hash of each user's items, order and vectors, must agree.
    """
    from personaplug.cli.screen import BARS, print_json
    from personaplug.store.copying import copy as copy_users
    from personaplug.store.persona_store import PersonaStore

    with PersonaStore.open(source) as one, PersonaStore.open(target, layout=one.layout) as other:
        total = 2 * one.count()
        with BARS.bar("copy") as advance:
            copied = copy_users(one, other, progress=lambda done: advance(done, "copied and compared", total=total))
    if as_json:
        print_json(asdict(copied))
        return
    click.echo(f"{target}: {copied.items:,} items of {copied.users:,} users, {copied.new_items:,} of them new")
    click.echo(f"verified: both hold the same, user by user (hash {copied.digest})")


@store.command(
    epilog="Example: personaplug store admit shop_reader --tenant shop --store postgresql://owner@db/personas"
)
@click.argument("role")
@click.option("--tenant", required=True, help="Whose users the role may read and write, as in personaplug keys.")
@click.option("--store", "address", type=STORE, required=True, help="The store in Postgres, as the role that made it.")
def admit(role: str, tenant: str, address: "Address") -> None:
    """Let a role of Postgres see the users of one tenant, and no others, whatever SQL it writes."""
    from personaplug.cli.screen import printable
    from personaplug.store.opening import admit as admit_role

    admit_role(address, role, tenant=tenant)
    click.echo(f"{address}: {printable(role)} sees the users of {printable(tenant)}")
