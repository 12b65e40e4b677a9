"""The floors of the house, as pyproject.toml draws them."""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIGHT_ROOMS = [
    "records",
    "config",
    "models",
    "tasks",
    "data",
    "store",
    "retrieval",
    "evaluation",
    "planning",
    "reports",
]

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


def test_every_module_that_a_string_names_is_there():
    """A logger, an import by name and a patched function fail in silence where a file has another name."""
    files = [path for folder in ("src", "tests", "benchmarks", "scripts") for path in (ROOT / folder).rglob("*.py")]
    named = {name for path in files for name in re.findall(r"[\"'](personaplug(?:\.\w+)+)", path.read_text("utf-8"))}
    assert len(named) > 9
    assert [name for name in sorted(named) if not is_there(name)] == []


def is_there(name):
    """Tell whether a module is there, or one with a class or a function of this name."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath("src", *parts[:length])
        if path.is_dir() or path.with_suffix(".py").exists():
            content = "" if path.is_dir() else path.with_suffix(".py").read_text("utf-8")
            return all(re.search(rf"\b{part}\b", content) for part in parts[length:])
    return False


def test_no_public_class_name_occurs_twice():
    """A name that means two things sends a reader to the wrong file."""
    files = (ROOT / "src").rglob("*.py")
    names = Counter(name for path in files for name in re.findall(r"^class ([A-Z]\w*)", path.read_text("utf-8"), re.M))
    assert len(names) > 99
    assert [name for name, count in names.items() if count > 1] == []


def test_whatever_is_no_module_goes_into_the_package():
    """A template or a task that no pattern of pyproject.toml names is there in a checkout and missing in a wheel."""
    package = ROOT / "src" / "personaplug"
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    packed = {path for pattern in patterns["personaplug"] for path in package.glob(pattern)}
    found = {path for path in package.rglob("*.*") if path.suffix not in (".py", ".pyc")}
    assert len(found) > 9
    assert found == packed
