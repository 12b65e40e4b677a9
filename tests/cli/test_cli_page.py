"""``docs/cli.md``, which is written from the commands."""

from scripts.cli_page import COMMAND, PAGE, page


def test_the_page_of_commands_says_what_the_commands_say():
    assert PAGE.read_text(encoding="utf-8") == page(), f"docs/cli.md is out of date; to write it anew: {COMMAND}"


def test_the_page_has_every_command_with_each_of_its_options_once():
    sections = dict(each.split("\n", 1) for each in page().split("\n## ")[1:])
    assert {"personaplug", "data import git", "persona forget", "keys revoke", "models add"} <= sections.keys()
    assert sections["persona forget"].count("| `--also PATH` | ") == 1
    assert "--layer INTEGER` | Of a language model" in sections["index"]
    assert "One of `local`, `vllm`. (by default `local`)" in sections["serve"]
    assert "the run's, else 0.95. (above 0, at most 1) |" in sections["generate"]
    assert "Example:\n\n```sh\npersonaplug demo --out demo\n```" in sections["demo"]
    assert "seeds = [0, 1]\ntrain_queries = 4800\n" in sections["bench"]
