"""``personaplug explain``: show which memories weigh how much in an answer."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from personaplug.cli.options import STORE, UTF8_TEXT
from personaplug.cli.screen import print_json, printable, results

if TYPE_CHECKING:
    from rich.table import Table

    from personaplug.plug.memory import Memory
    from personaplug.store.address import Address

_BAR = 10  # characters of the weightiest memory's bar
_LONGEST = 200  # characters of a text; a terminal shows fewer


@click.command()
@click.argument("text", type=UTF8_TEXT)
@click.option("--run", type=click.Path(path_type=Path), required=True, help="Folder of a trained plug.")
@click.option("--store", type=STORE, help="The users' histories; by default the run's own index.")
@click.option("--user", type=UTF8_TEXT, required=True, help="Whose memories.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Memories shown.")
@click.option("--json", "as_json", is_flag=True, help="Write all memories as JSON.")
def explain(text: str, run: Path, store: "Address | None", user: str, top: int, as_json: bool) -> None:
    """Show the memories that make the persona for TEXT, the weightiest first.

    \b
    Example:
      personaplug explain --run runs/log --user ada "What shall I call this?"
    """
    from personaplug.workflows.methods import open_run

    with open_run(run, store) as plug:
        assert plug.store is not None
        plug.store.get(user)
        memories = plug.explain(text, user=user)
    if as_json:
        print_json([asdict(memory) for memory in memories])
        return
    shown = memories[:top]
    results().print(_table(shown, title=f"{len(shown)} of {len(memories)} memories of {user}"))


def _table(memories: "Sequence[Memory]", *, title: str) -> "Table":
    """Lay out memories, the weightiest first, on lines as wide as the terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(_one_line(title), style="bold"), title_justify="left", box=box.SIMPLE_HEAD, expand=True, padding=0
    )
    is_mixed = any(memory.is_in_prompt for memory in memories)
    for name in ("weight", "", "cosine", "date", *(("prompt",) if is_mixed else ())):
        table.add_column(name, no_wrap=True, justify="right" if name in ("weight", "cosine") else "left")
    table.add_column("output", no_wrap=True, ratio=2)
    table.add_column("input", no_wrap=True, ratio=3)
    for memory in memories:
        bar = "█" * max(1, round(_BAR * memory.weight / memories[0].weight)) if memory.weight else ""
        numbers = f"{memory.weight:.1%}", bar, f"{memory.similarity:+.2f}", f"{memory.item.time:%Y-%m-%d}"
        marks = (("  ✓" if memory.is_in_prompt else ""),) if is_mixed else ()
        table.add_row(*numbers, *marks, *(Text(_one_line(part)) for part in (memory.item.output, memory.item.input)))
    return table


def _one_line(text: str) -> str:
    """Keep the beginning of a text, with nothing in it that could steer the terminal."""
    return printable(" ".join(text[:_LONGEST].split()))
