import json
import logging
import subprocess
import sys
from errno import EPIPE
from importlib import import_module
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from personaplug.cli.main import COMMANDS, cli
from personaplug.data.log_url import LogUrl
from personaplug.errors import DataError, PersonaPlugError

HEAVY = ("torch", "transformers", "numpy", "matplotlib", "pyarrow", "jinja2", "rich")

HELP_AND_WHAT_IT_COST = """
import json, sys, time
from personaplug.cli.main import main
try:
    main(["--help"])
except SystemExit:
    print(json.dumps({"modules": list(sys.modules), "seconds": time.process_time()}))
"""


@pytest.fixture
def run(monkeypatch):
    """Run ``personaplug``, with an action in place of every command."""

    def run_with(action, *words):
        monkeypatch.setattr(type(cli), "get_command", lambda *_: click.Command("fake", callback=action))
        return CliRunner().invoke(cli, words or ["fake"])

    return run_with


def raising(error):
    def action():
        raise error

    return action


def test_help_lists_every_command_and_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", HELP_AND_WHAT_IT_COST], capture_output=True, text=True, check=True)
    shown, _, cost = done.stdout.rstrip().rpartition("\n")
    for name, line in COMMANDS.items():
        assert f"{name} {line}" in " ".join(shown.split())
    assert not set(HEAVY) & set(json.loads(cost)["modules"])
    assert json.loads(cost)["seconds"] < 1  # of the processor; about 0.1 where it was measured


@pytest.mark.parametrize("name", COMMANDS)
def test_the_listed_line_is_the_first_line_of_the_commands_own_help(name):
    command = getattr(import_module(f"personaplug.cli.{name}"), name)
    assert command.get_short_help_str(limit=200).removesuffix(".") == COMMANDS[name].removesuffix(".")
    assert f"personaplug {name}" in (command.epilog or command.help), "no example"


def test_our_error_is_a_message_and_a_hint_on_stderr_and_exit_1(run):
    result = run(raising(DataError("no column 'time'", path="log.csv", line=3, hint="add it")))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: log.csv:3: no column 'time'\nHint: add it\n"


def test_an_error_without_a_hint_is_one_line(run):
    assert run(raising(PersonaPlugError("no"))).stderr == "Error: no\n"


def test_a_file_that_cannot_be_opened_is_named_without_a_traceback(run, tmp_path):
    result = run((tmp_path / "absent").read_text)
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path / 'absent'}: No such file or directory\n")


def test_debug_lets_an_error_show_its_traceback(run, monkeypatch):
    assert isinstance(run(raising(PersonaPlugError("no")), "--debug", "fake").exception, PersonaPlugError)
    monkeypatch.setenv("PERSONAPLUG_DEBUG", "1")
    assert isinstance(run(raising(PersonaPlugError("no"))).exception, PersonaPlugError)


def test_a_mistake_of_ours_shows_its_traceback(run):
    assert isinstance(run(raising(KeyError("a bug"))).exception, KeyError)


def test_an_interrupted_command_says_so_in_one_line_and_exits_130(run):
    result = run(raising(KeyboardInterrupt()))
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "\nInterrupted.\n")


def test_what_a_command_returns_is_not_its_exit_code(run):
    assert run(lambda: 7).exit_code == 0


def test_wrong_usage_exits_2(run):
    assert run(lambda: None, "fake", "--no-such-option").exit_code == 2


def test_an_unknown_command_exits_2_and_is_named():
    result = CliRunner().invoke(cli, ["trian"])
    assert result.exit_code == 2
    assert "No such command 'trian'" in result.stderr


@pytest.mark.parametrize(("options", "level"), [([], "WARNING"), (["-v"], "INFO"), (["--verbose"], "INFO")])
def test_what_is_done_is_logged_when_asked_for(run, options, level):
    run(lambda: None, *options, "fake")
    assert logging.getLevelName(logging.getLogger("personaplug").level) == level


def test_a_reader_that_has_left_is_no_error_to_report(run):
    assert run(raising(BrokenPipeError(EPIPE, "Broken pipe"))).stderr == ""


def test_the_version_is_that_of_the_package():
    assert CliRunner().invoke(cli, ["--version"]).output == f"personaplug {version('personaplug')}\n"


@pytest.mark.parametrize("words", ["index", "train", "evaluate", "data audit"])
def test_every_command_that_reads_a_log_takes_an_address(words):
    command = cli
    for word in words.split():
        command = command.get_command(click.Context(command), word)
    (log,) = [each for each in command.params if each.name == "log"]
    assert log.type.convert("s3://bucket/log", log, None) == LogUrl("s3://bucket/log")
