"""The ``personaplug`` command: its list of commands, and what becomes of an error."""

import logging
from collections.abc import Sequence
from importlib import import_module
from signal import SIGINT

import click

from personaplug.cli.launched import quieten, speaks, tells_error
from personaplug.errors import PersonaPlugError

INTERRUPTED = 128 + SIGINT  # as shells report a process that a signal ended

# Each command stands in the module of its name and is imported only when it is called; the line here is its short help.
COMMANDS = {
    "demo": "Go the whole way on synthetic users: sample data, index, train, evaluate, report.",
    "models": "Fetch, list and remove the language models that are known by name.",
    "data": "Make an interaction log, and look for faults in one.",
    "index": "Encode what is new in a log into a store.",
    "train": "Fit the plug, or a rival, on a log's training queries; the language model stays as it is.",
    "evaluate": "Measure a method on a task.",
    "compare": "Compare reports in one table, with paired tests.",
    "bench": "Run a recipe: tasks by methods by seeds, in one report with intervals, paired tests, costs and pictures.",
    "generate": "Answer TEXT in the way of a user, or a file of questions of many users in mixed batches.",
    "explain": "Show the memories that make the persona for TEXT, the weightiest first.",
    "persona": "List, show, extend, export and forget users.",
    "store": "Copy a store, or let a tenant's role into one in Postgres.",
    "export": "Write the adapter of a run as a LoRA in PEFT's format, for vLLM and other engines.",
    "serve": "Serve plugs over HTTP, for OpenAI's clients and with a persona for each user.",
    "keys": "Make, list and revoke the API keys of a server, which sees changes at once.",
    "studio": "Open a page on which a person sees a persona work.",
    "plan": "Say what many users cost: storage, preparation, machines, a million answers, three ways.",
}


class LazyGroup(click.Group):
    """The root of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Name the commands in the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"personaplug.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; turn its error into a message, or with ``--debug`` let it show its traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if speaks():
                click.echo("\nInterrupted.", err=True)  # below the terminal's ^C
            ctx.exit(INTERRUPTED)
        except click.ClickException as error:
            from personaplug.cli.screen import printable_lines

            if not tells_error():
                ctx.exit(error.exit_code)
            error.message = printable_lines(error.message)  # type: ignore[misc] # it quotes what was typed
            raise
        except (PersonaPlugError, OSError) as error:
            if ctx.params["debug"] or isinstance(error, BrokenPipeError):
                raise
            if not tells_error():
                ctx.exit(1)
            raise _failure(error) from error


class Failure(click.ClickException):
    """An error as a person sees it: what is wrong, and below it what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def show(self, file: object = None) -> None:  # noqa: ARG002 (click's signature; ours go to stderr)
        """Write the message and the hint on stderr."""
        from personaplug.cli.screen import printable_lines

        click.echo(f"{click.style('Error:', fg='red', bold=True)} {printable_lines(self.message)}", err=True)
        if self.hint:
            click.echo(f"{click.style('Hint:', fg='cyan', bold=True)} {printable_lines(self.hint)}", err=True)


@click.group(
    "personaplug",
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  personaplug demo
  personaplug data import git ~/src/linux --out linux.jsonl
  personaplug index linux.jsonl --task git-subject --store linux.db
  personaplug train --help

Results go to stdout, all else to stderr. Exit codes: 0 done, 1 an error, 2 wrong usage.
""",
)
@click.option("-v", "--verbose", is_flag=True, help="Log what is loaded and done. What users wrote is never logged.")
@click.option("--debug", is_flag=True, envvar="PERSONAPLUG_DEBUG", help="Show the traceback of an error.")
@click.version_option(package_name="personaplug", message="%(prog)s %(version)s")
def cli(verbose: bool, debug: bool) -> None:  # noqa: ARG001 (LazyGroup.invoke reads it)
    """Give a frozen language model each user's own way of answering.

    From a log of (user, time, input, output) to a measured model: index the log, train the plug, evaluate it
    against its rivals. Begin with the demo.
    """
    quieten()
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    level = logging.INFO if verbose else logging.WARNING
    logging.getLogger("personaplug").setLevel(level if speaks() else logging.ERROR)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Args:
        args: The words after ``personaplug``; those of this process by default.
    """
    cli.main(args, prog_name="personaplug")


def _failure(error: PersonaPlugError | OSError) -> Failure:
    if isinstance(error, PersonaPlugError):
        return Failure(str(error), hint=error.hint)
    place = f"{error.filename}: " if error.filename else ""
    return Failure(f"{place}{error.strerror or error}")
