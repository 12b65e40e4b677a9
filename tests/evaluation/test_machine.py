"""What a measurement ran on."""

import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from personaplug.evaluation import machine

PARENT = """
import os, sys
held = b"x" * 300_000_000
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
GROWING = """
from personaplug.evaluation.machine import peak_memory_mb
before = peak_memory_mb()
held = b"x" * 400_000_000
assert 0 < before < 400 <= peak_memory_mb()
"""
CHILD = "from personaplug.evaluation.machine import peak_memory_mb; print(peak_memory_mb())"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A project of one file of code and a folder of pages, in git."""
    for name in ("code.py", "docs/page.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("first")
    as_somebody = ["-c", "user.name=a", "-c", "user.email=b"]
    for words in (["init", "-q"], ["add", "-A"], [*as_somebody, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    monkeypatch.setattr(machine, "_PROJECT", tmp_path)
    monkeypatch.setattr(machine, "commit", machine.commit.__wrapped__)  # which asks but once in a process
    return tmp_path


@pytest.mark.usefixtures("checkout")
def test_software_is_named_by_versions_and_by_the_commit_of_a_checkout():
    said = machine.describe_software()
    assert re.fullmatch(r"[0-9a-f]{12}", machine.commit())
    assert said.startswith(f"personaplug {version('personaplug')} at {machine.commit()}, torch {version('torch')}")


def test_code_that_is_not_the_commits_is_called_changed_and_pages_are_no_code(checkout):
    (checkout / "docs" / "page.md").write_text("second")
    assert "changed" not in machine.commit()
    (checkout / "code.py").write_text("second")
    assert machine.commit().endswith(" (changed)")


def test_no_commit_is_named_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_PROJECT", tmp_path)
    monkeypatch.setattr(machine, "commit", machine.commit.__wrapped__)
    assert machine.commit() == ""
    assert " at " not in machine.describe_software()


def test_memory_is_counted_in_mb_of_a_million_bytes():
    subprocess.run([sys.executable, "-c", GROWING], check=True, env={"PYTHONPATH": ":".join(sys.path)})


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system gives no other number")
def test_what_the_parent_held_is_not_counted():
    words = [sys.executable, "-c", PARENT, CHILD]
    found = subprocess.run(words, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert 0 < float(found.stdout) < 200
