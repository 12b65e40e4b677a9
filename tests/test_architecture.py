"""The floors of the house, as pyproject.toml draws them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIGHT_ROOMS = ("records", "config", "models", "tasks", "data", "store", "retrieval", "evaluation")

IMPORT_ALL = """
import pkgutil, sys
from importlib import import_module
room = import_module(f"personaplug.{sys.argv[1]}")
for module in pkgutil.walk_packages(getattr(room, "__path__", []), f"{room.__name__}."):
    import_module(module.name)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_imports_keep_to_the_floors():
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_a_light_room_loads_without_torch(room):
    command = [sys.executable, "-c", IMPORT_ALL, room]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers"} & set(loaded)
