"""A plan in the terminal: a column for each way, rows by topic."""

from collections.abc import Callable
from dataclasses import dataclass, fields

from rich import box
from rich.table import Table
from rich.text import Text

from personaplug.planning.constants import Constants
from personaplug.planning.plan import Plan, WayPlan
from personaplug.planning.ways import WAYS
from personaplug.reports.formatting import MISSING

_TITLES = {"persona": "persona", "items": "items in prompt", "adapter": "adapter per user"}


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table.

    Attributes:
        label: What it is of.
        read: Takes it from a way's plan; None where it is not known.
        show: Writes it.
    """

    label: str
    read: Callable[[WayPlan], float | None]
    show: Callable[[float], str]


def amount(number: float) -> str:
    """Write a number in few characters, as in ``20.8``, ``2,199`` or ``864 billion``."""
    for unit, word in ((1e12, " trillion"), (1e9, " billion"), (1e6, " million")):
        if number >= unit * 0.9995:
            return f"{_digits(number / unit)}{word}"
    return _digits(number)


def size(number: float) -> str:
    """Write bytes, as in ``3.46 TB``."""
    for unit, word in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit * 0.9995:
            return f"{_digits(number / unit)} {word}"
    return f"{_digits(number)} bytes"


def share(number: float) -> str:
    """Write a share, as in ``24.8%``."""
    return f"{100 * number:.1f}%"


TOPICS: dict[str, tuple[Line, ...]] = {
    "on disk": (
        Line("texts", lambda way: way.storage.texts, size),
        Line("vectors", lambda way: way.storage.vectors, size),
        Line("keys, indexes, pages", lambda way: way.storage.rows, size),
        Line("adapters", lambda way: way.storage.adapters, size),
        Line("together", lambda way: way.storage.total, size),
        Line("free, for a forget", lambda way: way.storage.spare, size),
    ),
    "before the first answer": (
        Line("texts to encode", lambda way: way.preparation.texts, amount),
        Line("hours of a two-core machine", lambda way: way.preparation.encoding_hours, amount),
        Line("hours to store it, at least", lambda way: way.preparation.writing_hours, amount),
        Line("tokens to train on", lambda way: way.preparation.training_tokens, amount),
        Line("GPU hours", lambda way: way.preparation.training_hours, amount),
        Line("cost of these", lambda way: way.price.preparation_cost or None, amount),
    ),
    "for each day's new items": (
        Line("hours of a two-core machine", lambda way: way.day.encoding_hours, amount),
        Line("hours to store it, at least", lambda way: way.day.writing_hours, amount),
        Line("GPU hours", lambda way: way.day.training_hours, amount),
    ),
    "one answer": (
        Line("tokens read", lambda way: way.answer.prompt_tokens, amount),
        Line("GPU ms, reading", lambda way: way.answer.reading_ms, amount),
        Line("GPU ms, writing", lambda way: way.answer.writing_ms, amount),
        Line("ms of a core beside it", lambda way: way.answer.core_ms, amount),
    ),
    "at the busiest time": (
        Line("GPU memory of a server", lambda way: way.fleet.server_bytes, size),
        Line("GPUs", lambda way: float(way.fleet.gpus), amount),
        Line("cores beside them", lambda way: way.fleet.cores, amount),
        Line("users in a server's memory", lambda way: way.fleet.held_users, amount),
        Line("requests that find theirs", lambda way: way.fleet.found, share),
        Line("fetched in a second", lambda way: way.fleet.fetched_bytes_a_second, size),
    ),
    "a million answers": (
        Line("GPU hours, all busy", lambda way: way.price.busy_hours, amount),
        Line("GPU hours, those above all day", lambda way: way.price.paid_hours, amount),
        Line("hours of two-core machines", lambda way: way.price.machine_hours, amount),
        Line("cost of these two", lambda way: way.price.cost, amount),
    ),
}


def plan_table(plan: Plan) -> Table:
    """Lay out a plan."""
    load = plan.load
    table = _table(f"{amount(load.users)} users of {amount(load.items)} items, {amount(load.requests)} requests a day")
    table.caption, table.caption_justify = Text(_note(plan), style="dim"), "left"
    table.add_column("", min_width=30)
    for way in WAYS:
        table.add_column(_TITLES[way], justify="right", no_wrap=True)
    for topic, lines in TOPICS.items():
        table.add_row(Text(topic, style="bold"))
        for line in lines:
            numbers = [line.read(plan.ways[way]) for way in WAYS]
            if any(number is not None for number in numbers):
                table.add_row(f"  {line.label}", *(line.show(number) if number else MISSING for number in numbers))
        table.add_section()
    return table


def constants_table(constants: Constants) -> Table:
    """Lay out the constants with where each comes from."""
    table = _table("what every plan stands on; to put your own in its place: --set NAME=VALUE")
    table.add_column("constant", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("what was measured, and where it stands", overflow="fold")
    for each in fields(constants):
        value = f"{getattr(constants, each.name):,g} {each.metadata['unit']}"
        table.add_row(each.name, value, Text(f"{each.metadata['help']}\n{each.metadata['source']}"))
    return table


def _note(plan: Plan) -> str:
    own = [each for each in fields(Constants) if getattr(plan.constants, each.name) != each.default]
    named = ", ".join(f"{each.name}={getattr(plan.constants, each.name):g}" for each in own)
    yours = f" Yours: {named}." if own else ""
    unpriced = {"--gpu-hour": plan.prices.gpu, "--machine-hour": plan.prices.machine}
    missing = " and ".join(option for option, price in unpriced.items() if price is None)
    price = f" Cost: with {missing}." if missing else ""
    return f"From {len(fields(Constants))} measured constants: personaplug plan --constants.{yours}{price}"


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, header_style="dim", padding=0
    )


def _digits(number: float) -> str:
    """Write three digits at least, and all before the point."""
    decimals = 0 if number >= 100 or number == int(number) else 1 if number >= 10 else 2
    return f"{number:,.{decimals}f}"
