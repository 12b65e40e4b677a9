"""``personaplug plan``: what many users cost, in numbers."""

from dataclasses import MISSING, fields
from math import isfinite
from typing import Any, get_args

import click

from personaplug.cli.options import Command
from personaplug.planning.workload import Engine, ItemsBy, ModelShape, Workload

MOST = 1e15
"""More of anything is a mistake in typing."""


class Amount(click.ParamType[float]):
    """A number such as ``10000000`` or ``1e7``.

    Args:
        least: The smallest that makes sense.
    """

    name = "number"

    def __init__(self, least: float) -> None:
        self.least = least

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is no number", param, ctx)
        if not isfinite(number) or not self.least <= number <= MOST:
            self.fail(f"{value} is not between {self.least:g} and {MOST:g}", param, ctx)
        return number


SOME, ANY = Amount(1), Amount(0)
AMOUNTS: tuple[tuple[str, Amount, str], ...] = (
    ("--views", SOME, "Texts of an item that the encoder reads."),
    ("--dim", SOME, "Of a vector."),
    ("--input-tokens", SOME, "Of a question, and of an item's input."),
    ("--answer-tokens", SOME, "Of an answer, and of an item's output."),
    ("--peak", SOME, "Requests a second at the busiest time, over the day's mean."),
    ("--skew", ANY, "How unevenly users ask: the exponent of Zipf's law."),
    ("--memory", SOME, "Bytes in which a server keeps what it read of users."),
    ("--persona-vectors", ANY, "Persona: vectors behind the input."),
    ("--k", ANY, "Items: so many in a prompt."),
    ("--item-tokens", ANY, "Items: of one in a prompt."),
    ("--rank", SOME, "Adapter: of one user's."),
    ("--epochs", ANY, "Adapter: passes over a history."),
    ("--training-queries", ANY, "Persona: which the plug learns from."),
    ("--batch", SOME, "Answers written at once."),
    ("--gpu-memory", SOME, "Bytes of one GPU."),
)
SIZES: tuple[tuple[str, str], ...] = (
    ("--weights", "Of the language model; with the next three by default Llama-3.1-8B's."),
    ("--layers", "Of the language model."),
    ("--width", "Of the language model's states."),
    ("--key-width", "Of a layer's keys of one token: heads of keys by their size."),
)


def workload_options(command: Command) -> Command:
    """Add an option for each field of a workload that has a default, with that default."""
    defaults = {each.name: each.default for kind in (Workload, ModelShape) for each in fields(kind)}
    sizes = [(flag, SOME, text) for flag, text in SIZES]
    for flag, kind, text in reversed([*AMOUNTS, *sizes]):
        default = defaults[flag.removeprefix("--").replace("-", "_")]
        assert default is not MISSING
        command = click.option(flag, type=kind, default=default, show_default=f"{default:,g}", help=text)(command)
    return command


def show_constants(ctx: click.Context, param: click.Parameter, asked: bool) -> None:  # noqa: ARG001 (click's signature)
    """Show the measured constants in place of a plan."""
    if not asked:
        return
    from personaplug.cli.screen import results
    from personaplug.planning.constants import Constants
    from personaplug.reports.plan_table import constants_table

    results().print(constants_table(Constants()))
    ctx.exit()


@click.command(
    epilog="""\b
Examples:
  personaplug plan --users 1e7 --items 100
  personaplug plan --users 1e6 --items 50 --requests 5e6 --gpu-hour 2.5 --machine-hour 0.1 --set texts_per_second=900
  personaplug plan --constants
"""
)
@click.option("--users", type=SOME, required=True, help="How many.")
@click.option("--items", type=SOME, required=True, help="Of each user, in the mean.")
@click.option("--requests", type=SOME, help="A day; by default one of each user.")
@click.option("--new-items", type=ANY, help="A day, of all users; by default one for each request.")
@workload_options
@click.option(
    "--items-by",
    type=click.Choice(get_args(ItemsBy)),
    default="bm25",
    show_default=True,
    help="Items: what finds them.",
)
@click.option(
    "--engine",
    type=click.Choice(get_args(Engine)),
    default="vllm",
    show_default=True,
    help="What writes: vLLM, or personaplug itself.",
)
@click.option(
    "--gpu-hour",
    type=float,
    help="Price of an hour of one GPU, in any money; without it nothing that takes GPU hours has a cost.",
)
@click.option(
    "--machine-hour",
    type=float,
    help="Price of an hour of a two-core machine; without it nothing that takes such hours has a cost.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A constant as measured on your machine; repeatable."
)
@click.option(
    "--constants",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_constants,
    help="Show the measured constants, each with where it comes from, and end.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the plan as JSON.")
def plan(
    *,
    requests: float | None,
    new_items: float | None,
    gpu_hour: float | None,
    machine_hour: float | None,
    settings: tuple[str, ...],
    as_json: bool,
    **asked: Any,  # noqa: ANN401 (fields of a Workload)
) -> None:
    """Say what many users cost: storage, preparation, machines, a million answers, three ways.

    The ways: the persona of a plug, items in the prompt, and one adapter per user. Numbers may be written as 1e7.
    """
    from personaplug.cli.screen import print_json, results
    from personaplug.config import override
    from personaplug.planning.constants import Constants
    from personaplug.planning.fleet import HourlyPrices
    from personaplug.planning.plan import plan as make_plan
    from personaplug.reports.plan_table import plan_table

    model = ModelShape(**{each.name: asked.pop(each.name) for each in fields(ModelShape)})
    requests = asked["users"] if requests is None else requests
    new_items = requests if new_items is None else new_items
    load = Workload(**asked, requests=requests, new_items=new_items, model=model)
    made = make_plan(load, override(Constants(), settings), prices=HourlyPrices(gpu_hour, machine_hour))
    if as_json:
        print_json(made)
    else:
        results().print(plan_table(made))
