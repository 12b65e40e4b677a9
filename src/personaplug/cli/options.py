"""Options that several commands share."""

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]

ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
DECODING = (
    click.option(
        "--strategy",
        type=click.Choice(["greedy", "beam", "sample"]),
        default="greedy",
        show_default=True,
        help="How to decode.",
    ),
    click.option("--beams", type=click.IntRange(1), default=4, show_default=True, help="For beam search."),
    click.option("--temperature", type=ABOVE_ZERO, default=1.0, show_default=True, help="For sampling."),
    click.option(
        "--top-p", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True, help="For sampling."
    ),
    click.option("--max-new-tokens", type=click.IntRange(1), default=48, show_default=True, help="Longest answer."),
)


class Words(click.ParamType[str]):
    """Text that can be written as UTF-8; a shell may hand over bytes that cannot."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is no text."""
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail(f"{value!r} is not UTF-8", param, ctx)
        return value


WORDS = Words()


def decoding_options(command: Command) -> Command:
    """Add the options of a :class:`personaplug.plug.backbone.GenerationConfig`."""
    for option in reversed(DECODING):
        command = option(command)
    return command
