"""Small recipes on tiny models, for the tests of ``personaplug bench``."""

import json

import tomlkit

from tests.cli.conftest import run_command

USERS = ("ada", "bob", "cyd", "dee", "eve", "fay")
DAYS = 6
SMALL = ("training.epochs=1", "training.batch_size=8", "training.max_input_tokens=64", "training.max_output_tokens=8")


def write_log(path):
    """Write a log in which every user always answers alike."""
    rows = [
        {"user_id": user, "time": f"2024-01-{day + 1:02}", "id": str(day), "input": f"tea {day}?", "output": f"no {at}"}
        for at, user in enumerate(USERS)
        for day in range(DAYS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_recipe(folder, models, **changes):
    """Write a log and a small recipe for it; what is None is left out."""
    write_log(folder / "log.jsonl")
    recipe = {
        "methods": ["plain", "tuned-prompt", "recency", "bm25", "plug"],
        "seeds": [0, 1],
        "k": [1, 2],
        "backbone": models["decoder-only"],
        "encoder": models["encoder"],
        "settings": list(SMALL),
        "decoding": {"max_new_tokens": 4},
        "tasks": [{"task": "log", "log": "log.jsonl"}],
    } | changes
    path = folder / "recipe.toml"
    path.write_text(tomlkit.dumps({name: value for name, value in recipe.items() if value is not None}))
    return path


def bench(recipe, *words):
    """Run the recipe in the folder ``out`` beside it."""
    return run_command("bench", recipe, "--out", recipe.parent / "out", *words)


def contents(folder):
    """Read every file of a folder, but for the databases' own."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".db" not in path.name and path.name != ".lock"
    }
