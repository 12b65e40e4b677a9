import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from personaplug.cli.main import cli

USERS = {"ada": 6, "bob": 5, "[red]": 5, "🦊 fox [/]": 4}
"""How many items each has in the small log; of two the ids would steer a careless terminal."""

TEXTS = (
    "[bold]tea[/bold] or coffee?",
    "a \x1b[31mwarning\x1b[0m\n\nin red",
    "what " + "a long " * 60 + "day",
    "雨の日 ☔",
)

PERSONA_AND_ITEMS = ("plug+bm25", "plug+dense")


@dataclass(frozen=True, slots=True)
class Place:
    """A log with all that is made of it, by the commands themselves, on tiny models.

    Attributes:
        models: Folders of the tiny encoder and language models, by name.
        log: Of :data:`USERS`, for the task ``log``.
        store: Its index.
        plug: A run that tells users apart.
        mixed: Runs with two items in their prompts, by method.
        tuned: A run of the control, trained without a store.
        adapters: A run of one adapter a user of the test split.
    """

    models: Mapping[str, str]
    log: Path
    store: Path
    plug: Path
    mixed: Mapping[str, Path]
    tuned: Path
    adapters: Path


@pytest.fixture
def personaplug():
    """Run a ``personaplug`` command with these words, and with ``input`` as what the person types."""
    return run_command


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    from tests.world import save_models

    return save_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def place(models, tmp_path_factory):
    """Make the place once; no test may change what is in it."""
    folder = tmp_path_factory.mktemp("place")
    mixed = {name: folder / name for name in PERSONA_AND_ITEMS}
    place = Place(
        models, folder / "log.jsonl", folder / "log.db", folder / "plug", mixed, folder / "tuned", folder / "lora"
    )
    write_log(place.log)
    task, encoder = ("--task", "log"), ("--encoder", models["encoder"])
    done(run_command("index", place.log, *task, "--store", place.store, *encoder))
    plug = "--store", place.store, *encoder, "--backbone", models["decoder-only"]
    done(run_command("train", place.log, *task, *plug, "--epochs", 1, "--out", place.plug))
    for name, out in mixed.items():
        done(run_command("train", place.log, *task, *plug, "--method", name, "-k", 2, "--epochs", 1, "--out", out))
    tuned = "--method", "tuned-prompt", "--backbone", models["encoder-decoder"], "--out", place.tuned
    done(run_command("train", place.log, *task, *tuned, "--epochs", 1))
    lora = "--method", "user-lora", "--backbone", models["decoder-only"], "--out", place.adapters
    done(run_command("train", place.log, *task, *lora, "--epochs", 1))
    for run in (place.plug, mixed["plug+bm25"], mixed["plug+dense"]):
        tell_users_apart(run, place.store)
    return place


def run_command(*words, input=None):
    return CliRunner().invoke(cli, [str(word) for word in words], input=input)


def done(result):
    """Insist that a command did its work."""
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result


def write_log(path):
    """Write the small log: each user always answers alike."""
    rows = [
        {"user_id": user, "time": f"2024-01-{day + 1:02}", "id": str(day), "input": text, "output": f"[{at}] {text}"}
        for at, (user, count) in enumerate(USERS.items())
        for day, text in zip(range(count), TEXTS * 2, strict=False)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def tell_users_apart(run, store_path):
    """Move the weights of a run away from where they start: so short a training teaches nothing."""
    from personaplug.plug.model import PersonaPlug
    from personaplug.store.persona_store import PersonaStore
    from tests.world import as_if_trained

    with PersonaStore.open(store_path) as store:
        as_if_trained(PersonaPlug.from_pretrained(run, store=store)).save_pretrained(run)
