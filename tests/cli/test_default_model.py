"""The language model where none is named: it is smollm2, and where it is missing one error says how to fetch it."""

from shutil import copytree

import pytest

from tests.cli.conftest import done

MISSING = "Error: the language model smollm2 is not on this machine\nHint: personaplug models add smollm2"
GONE = "Error: the language model nano is no longer part of personaplug\nHint: name another, such as --backbone smollm2"


@pytest.fixture
def without_smollm2(tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONAPLUG_CACHE", str(tmp_path / "none"))
    monkeypatch.setattr("personaplug.models.places.find_spec", lambda _: None)


def trained_on(backbone, run, folder):
    """Copy a run, as one whose language model has this name."""
    copytree(run, folder)
    config = (folder / "config.toml").read_text()
    named = next(line for line in config.split("[backbone]")[1].splitlines() if line.startswith("model = "))
    (folder / "config.toml").write_text(config.replace(named, f'model = "{backbone}"', 1))
    return folder


def refused(result, message):
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("method", ["plug", "tuned-prompt", "user-lora", "ropg-kd"])
@pytest.mark.usefixtures("without_smollm2")
def test_training_without_the_language_model_names_the_command_that_fetches_it_and_leaves_no_run(
    personaplug, place, tmp_path, method
):
    vectors = () if method in {"user-lora", "tuned-prompt"} else ("--store", place.store)
    vectors = (*vectors, "--encoder", place.models["encoder"]) if vectors else ()
    words = ("--task", "log", "--method", method, *vectors)
    refused(personaplug("train", place.log, *words, "--out", tmp_path / "run"), MISSING)
    assert not (tmp_path / "run" / "config.toml").exists()


@pytest.mark.usefixtures("without_smollm2")
def test_evaluating_without_the_language_model_names_the_command_that_fetches_it(personaplug, place, tmp_path):
    words = ("--task", "log", "--method", "plain", "--out", tmp_path / "plain.json")
    refused(personaplug("evaluate", place.log, *words), MISSING)
    assert not (tmp_path / "plain.json").exists()


@pytest.mark.parametrize(("backbone", "message"), [("smollm2", MISSING), ("nano", GONE)])
@pytest.mark.usefixtures("without_smollm2")
def test_a_run_whose_language_model_is_not_there_is_refused_with_what_to_do(
    personaplug, place, tmp_path, backbone, message
):
    run = trained_on(backbone, place.plug, tmp_path / "old")
    opened = ("--run", run, "--store", place.store)
    for words in (
        ("generate", *opened, "--user", "ada", "what?"),
        ("explain", *opened, "--user", "ada", "what?"),
        ("serve", *opened, "--open", "--port", 0),
        ("studio", *opened, "--port", 0),
        ("evaluate", place.log, "--task", "log", "--method", "plug", *opened, "--out", tmp_path / "plug.json"),
    ):
        refused(personaplug(*words), message)


@pytest.mark.parametrize("words", [("train", "--out", "run"), ("evaluate", "--method", "plain", "--out", "r.json")])
def test_the_model_that_once_came_along_is_refused_by_name(personaplug, place, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    command, *rest = words
    method = ("--method", "tuned-prompt") if command == "train" else ()
    refused(personaplug(command, place.log, "--task", "log", *method, "--backbone", "nano", *rest), GONE)
    assert not list(tmp_path.glob("*/config.toml"))


@pytest.mark.parametrize("command", ["train", "evaluate", "demo"])
def test_the_help_says_which_language_model_is_the_default(personaplug, command):
    said = " ".join(done(personaplug(command, "--help")).stdout.split())
    assert "smollm2 (the default)" in said or "[default: smollm2]" in said
