"""The commands that README and docs tell a reader to type."""

import re
import shlex
from itertools import takewhile
from pathlib import Path

import click
import pytest

from personaplug.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page):
    """What stands in the page's blocks of shell, each as its words after ``personaplug``."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r" && | \|\| ", line):
                words = shlex.split(part.replace("$'", "'"), comments=True)
                if words[:1] == ["personaplug"]:
                    yield list(takewhile(lambda word: word not in ("<", ">", ">>", "&"), words[1:]))


def parse(words):
    """Read words as the command line does, without doing anything."""
    command, context = cli, click.Context(cli, info_name="personaplug", **cli.context_settings)
    while isinstance(command, click.Group) and not words[0].startswith("-"):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name}"
        command, context = found, click.Context(found, info_name=name, parent=context)
    command.make_context(command.name, words, parent=context.parent)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_on_a_page_is_one_that_can_be_typed(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for words in commands(page):
        try:
            parse(words)
        except click.exceptions.Exit:  # --help
            pass
        except click.BadParameter as error:  # its files are the reader's
            if "does not exist" not in error.message and "No such file" not in error.message:
                raise


def test_commands_are_found_on_the_pages():
    found = [words[0] for page in PAGES for words in commands(page)]
    assert {"data", "index", "train", "evaluate", "compare", "persona", "serve"} <= set(found)
