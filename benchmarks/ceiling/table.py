"""What was fitted, form by form, and a table of it in Markdown.

    python -m benchmarks.ceiling.table FILE.json ...

writes FILE.md beside each.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from jaxtyping import Float

from benchmarks.intervals import mean_over_users
from personaplug.evaluation.significance import Estimate

_HEAD = """# What can be fitted to one user

The {users} dev users with the longest histories, {queries} queries. Fitted to at most {items} items before a user's
first query, {epochs} epochs in batches of 8; seed {seed}, {precision}. Nats per answer with it minus without: below
zero is better. Each user counts the same. Brackets are 95% intervals over users. A form's learning rate is the one that
was best for the other half of the users.

`{made[command]}`, {made[machine]}, {made[time]}

| fitted to each user | numbers | kB in 16 bits | nats per answer | own minus stranger's | learning rates |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Fitted:
    """One form, fitted to one user at one learning rate.

    Attributes:
        form: Its name.
        rate: Learning rate.
        user: Whose history it learned, by number.
        numbers: How many were fitted.
        own: What it adds to the nats of each of the user's queries.
        stranger: What it adds to the nats of each of the next user's queries.
    """

    form: str
    rate: float
    user: int
    numbers: int
    own: Float[np.ndarray, " queries"]
    stranger: Float[np.ndarray, " queries_of_next"]


@dataclass(frozen=True, slots=True)
class Line:
    """What a form came to.

    Attributes:
        form: Its name.
        numbers: How many are fitted to a user.
        rates: Learning rates of the users of even and of odd number.
        gain: What it adds to the nats of an answer; below zero is better.
        personal: The same less what the one of another user adds.
    """

    form: str
    numbers: int
    rates: tuple[float, float]
    gain: Estimate
    personal: Estimate


def lines(fitted: Sequence[Fitted], *, seed: int) -> list[Line]:
    """Sum up each form, in the order in which they were fitted."""
    return [_line([each for each in fitted if each.form == form], seed=seed) for form in _forms(fitted)]


def _forms(fitted: Sequence[Fitted]) -> list[str]:
    return list(dict.fromkeys(each.form for each in fitted))


def _line(fitted: Sequence[Fitted], *, seed: int) -> Line:
    own = {(each.user, each.rate): float(each.own.mean()) for each in fitted}
    users = 1 + max(user for user, _ in own)
    # Of the user's own number what it adds to the user's queries, and the stranger is the one before.
    stranger = {((each.user + 1) % users, each.rate): float(each.stranger.mean()) for each in fitted}
    rates = (_best(own, of=1), _best(own, of=0))
    gains = [own[user, rates[user % 2]] for user in range(users)]
    personal = [gain - stranger[user, rates[user % 2]] for user, gain in enumerate(gains)]
    return Line(
        fitted[0].form,
        fitted[0].numbers,
        rates,
        mean_over_users(gains, seed=seed),
        mean_over_users(personal, seed=seed),
    )


def _best(own: Mapping[tuple[int, float], float], *, of: int) -> float:
    """Find the rate that did best for the users of even or of odd number."""
    rates = sorted({rate for _, rate in own})
    return min(rates, key=lambda rate: np.mean([own[key] for key in own if key[1] == rate and key[0] % 2 == of]))


@click.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
def main(results: Sequence[Path]) -> None:
    """Write the table of each file of results."""
    for path in results:
        path.with_suffix(".md").write_text(table(json.loads(path.read_text("utf-8"))), encoding="utf-8")


def table(found: Mapping[str, Any]) -> str:
    """Write what was found as a page."""
    return _HEAD.format(**found) + "".join(_rows(found["lines"]))


def _rows(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for line in found:
        rates = " and ".join(f"{rate:g}" for rate in dict.fromkeys(line["rates"]))
        size = f"{line['numbers']:,} | {line['numbers'] * 2 / 1000:,.1f}"
        yield f"| {line['form']} | {size} | {_cell(line['gain'])} | {_cell(line['personal'])} | {rates} |\n"


def _cell(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:+.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"


if __name__ == "__main__":
    main()
