"""Write docs/cli.md, the page of all commands, from the commands themselves.

python -m scripts.cli_page
"""

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from textwrap import dedent, fill

import click

from personaplug.cli.main import cli
from personaplug.cli.train import TrainCommand

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
COMMAND = "python -m scripts.cli_page"
WIDTH = 120

INTRO = """\
Every command answers `--help` with what stands here. The page is written from the commands themselves:
`python -m scripts.cli_page` writes it anew."""
OF_A_METHOD = "A method reads some of these options. `personaplug train --method NAME --help` shows which."


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Make the page's text."""
    root = click.Context(cli, info_name="personaplug", **cli.context_settings)
    contexts = list(_below(root))
    contents = [f"| {_link(each)} | {_cell(each.command.get_short_help_str(limit=WIDTH))} |" for each in contexts]
    parts = ["# Commands", INTRO, "\n".join(["| command | what it does |", "|---|---|", *contents])]
    for each in (root, *contexts):
        parts += _section(each)
    return "\n\n".join(parts) + "\n"


def _below(context: click.Context) -> Iterator[click.Context]:
    """Walk over all commands below one, in the order of its help."""
    if not isinstance(context.command, click.Group):
        return
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        assert command is not None, "a group knows the commands that it lists"
        below = click.Context(command, info_name=name, parent=context)
        yield below
        yield from _below(below)


def _section(context: click.Context) -> Iterator[str]:
    """Write a command's heading, usage, help, options and examples."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"## {_name(context)}"
    yield f"```\n{usage}\n```"
    yield from _prose(command.help or "")
    if options := [each for each in command.params if isinstance(each, click.Option) and not each.hidden]:
        yield "\n".join(["| option | meaning |", "|---|---|", *(_row(each, context) for each in options)])
    if isinstance(command, TrainCommand):
        yield OF_A_METHOD
    yield from _prose(command.epilog or "")


def _prose(text: str) -> Iterator[str]:
    """Turn help into Markdown: what click leaves as it is (after a backspace) becomes a title and a block of code."""
    for paragraph in re.split(r"\n\s*\n", cleandoc(text)):
        if one := re.fullmatch(r"(Example:) (personaplug .*)", paragraph):
            yield f"{one[1]}\n\n```sh\n{one[2]}\n```"
        elif paragraph.startswith("\b"):
            title, _, lines = paragraph.removeprefix("\b").strip("\n").partition("\n")
            yield f"{title.strip()}\n\n```{'sh' if title.startswith('Example') else ''}\n{dedent(lines)}\n```"
        elif paragraph:
            yield fill(" ".join(paragraph.split()), WIDTH, break_on_hyphens=False)


def _row(option: click.Option, context: click.Context) -> str:
    """Write an option's row; its choices stand with its meaning, where there is room."""
    named, meaning = ", ".join(sorted(option.opts, key=len)), [_cell(option.help or "")]
    if isinstance(option.type, click.Choice):
        meaning.append(f"One of {', '.join(f'`{each}`' for each in option.type.choices)}.")
    elif not option.is_flag:
        named += f" {option.make_metavar(context).removesuffix(' RANGE')}"
    if limits := "; ".join(_limits(option, context)):
        meaning.append(f"({limits})")
    return f"| `{named}` | {' '.join(filter(None, meaning))} |"


def _limits(option: click.Option, context: click.Context) -> Iterator[str]:
    """Say of an option's value what its help shows in brackets."""
    said = option.get_help_extra(context)
    if "default" in said:
        yield f"by default `{said['default']}`"
    if isinstance(option.type, click.IntRange | click.FloatRange):
        yield _range(option.type)
    if option.envvar:
        yield f"`{option.envvar}` in the environment does the same"
    if option.required:
        yield "required"


def _range(bounds: click.IntRange | click.FloatRange) -> str:
    if bounds.min is None:
        return f"at most {bounds.max}"
    least = f"{'above' if bounds.min_open else 'at least'} {bounds.min}"
    return least if bounds.max is None else f"{least}, at most {bounds.max}"


def _name(context: click.Context) -> str:
    return context.command_path.removeprefix("personaplug ")


def _link(context: click.Context) -> str:
    return f"[{_name(context)}](#{_name(context).replace(' ', '-')})"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


if __name__ == "__main__":
    main()
