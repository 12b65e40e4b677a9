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
        help="How to decode; by default as the run says, else greedily.",
    ),
    click.option("--beams", type=click.IntRange(1), help="For beam search; by default the run's, else 4."),
    click.option("--temperature", type=ABOVE_ZERO, help="For sampling; by default the run's, else 1."),
    click.option(
        "--top-p", type=click.FloatRange(0, 1, min_open=True), help="For sampling; by default the run's, else 0.95."
    ),
    click.option("--max-new-tokens", type=click.IntRange(1), help="Longest answer; by default the run's, else 48."),
)


class Utf8Text(click.ParamType[str]):
    """Text that can be written as UTF-8; a shell may hand over bytes that cannot."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is no text."""
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail(f"{value!r} is not UTF-8", param, ctx)
        return value


UTF8_TEXT = Utf8Text()


def decoding_options(command: Command) -> Command:
    """Add the options of a :class:`personaplug.backbone.base.GenerationConfig`; one that is not given is None."""
    for option in reversed(DECODING):
        command = option(command)
    return command
