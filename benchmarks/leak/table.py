"""The results as tables in Markdown, written beside them.

python -m benchmarks.leak.table FILE.json --price PRICE.json
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

_COLUMNS = {
    "Words": {
        "own": "own words of 10",
        "stranger": "stranger's",
        "less": "own minus stranger's",
        "rare": "own rare words of 10",
        "rare_stranger": "stranger's rare",
    },
    "First five tokens": {"recall": "found", "precision": "right", "word for word": "an opening word for word"},
    "Linkage": {"rank 1": "the right user first", "median rank": "median rank", "chance": "chance"},
    "Membership": {"later": "AUC, own later items", "stranger": "AUC, a stranger's items"},
}
_KEY = {"Words": "own", "First five tokens": "recall", "Linkage": "rank 1", "Membership": "later"}
_HEAD = """# What a persona gives away

{users[reported]} users with 8 items or more are attacked. The attacker knows the texts of {users[known]} others, the
run's weights and the language model. Brackets are 95% intervals of a bootstrap over users; seed {seed}.

- *persona*: all vectors of the user. *by the query* and *of all items*: its two halves, each alone.
- The query is the user's first of the test split, else of dev. Only *of all items* does not depend on it.
- *Words* are the language model's tokens of three letters or more. *Rare*: at most 5% of the other users write them.
- *pursuit* and *nearest rows* read the vectors of the first five tokens, with the trained map undone.
- *ridge* learned from the other users: four fifths of them to fit, one fifth to choose its strength.
- *Membership*: vectors are of the first three quarters of a history; no item asked for repeats a member's text.

`{made[command]}`, {made[machine]}, {made[time]}
"""


@click.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path))
@click.option("--price", type=click.Path(exists=True, path_type=Path), help="What benchmarks.leak.price wrote.")
def main(results: Path, *, price: Path | None) -> None:
    """Write the tables of a file of results."""
    results.with_suffix(".md").write_text(tables(results, price), encoding="utf-8")


def tables(results: Path, price: Path | None) -> str:
    """Write all tables of a file of results, and what switches cost where that was measured."""
    found = json.loads(results.read_text("utf-8"))
    parts = [_HEAD.format(**found), *(_table(title, found["lines"]) for title in _COLUMNS)]
    if price:
        parts.append(_prices(json.loads(price.read_text("utf-8"))))
    return "\n".join(parts)


def _table(title: str, lines: list[Mapping[str, Any]]) -> str:
    columns = _COLUMNS[title]
    rows = [
        [line["form"], line["switch"], line["attack"], *(_cell(line["figures"][name]) for name in columns)]
        for line in lines
        if _KEY[title] in line["figures"] and columns.keys() <= line["figures"].keys()
    ]
    return f"## {title}\n\n" + "".join(_rows(["held", "switch", "attack", *columns.values()], rows))


def _prices(price: Mapping[str, Any]) -> str:
    head = f"## What switches cost\n\n{price['queries']} dev queries of {price['users']} users, "
    head += f"{price['nats']:.2f} nats per answer without a switch; above zero is worse.\n"
    head += f"`{price['made']['command']}`, {price['made']['machine']}, {price['made']['time']}\n\n"
    rows = [[name, _cell(each)] for name, each in price["prices"].items()]
    return head + "".join(_rows(["switch", "nats per answer more"], rows))


def _rows(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    return (f"| {' | '.join(cells)} |\n" for cells in [head, ["---"] * len(head), *rows])


def _cell(figure: Mapping[str, float] | float) -> str:
    if isinstance(figure, float | int):
        return f"{figure:.3g}"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


if __name__ == "__main__":
    main()
