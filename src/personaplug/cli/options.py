"""Options that several commands share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from personaplug.data.log_url import LogAddress
    from personaplug.store.address import Address

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


class StoreOption(click.ParamType["Address"]):
    """Where a store is: a file, or an address of Postgres."""

    name = "store"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> "Address":
        """Read it; an address that is none is not shown, as a password may stand in it."""
        from personaplug.errors import ConfigError
        from personaplug.store.address import store_address

        try:
            return store_address(value)
        except ConfigError as error:
            self.fail(f"{error} ({error.hint})", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 (click's signature)
        """Name what is given, for the help."""
        return "FILE|URL"


STORE = StoreOption()


class LogOption(click.ParamType["LogAddress"]):
    """Where a log is: a file, or an address or folder with Parquet files."""

    name = "log"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> "LogAddress":  # noqa: ARG002
        """Read it."""
        from personaplug.data.log_url import log_address

        return log_address(value)


LOG = LogOption()


def decoding_options(command: Command) -> Command:
    """Add the options of a :class:`personaplug.backbone.base.GenerationConfig`; one that is not given is None."""
    for option in reversed(DECODING):
        command = option(command)
    return command
