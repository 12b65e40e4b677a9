"""What a measurement ran on."""

import subprocess
import sys

import pytest

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


def test_memory_is_counted_in_mb_of_a_million_bytes():
    subprocess.run([sys.executable, "-c", GROWING], check=True, env={"PYTHONPATH": ":".join(sys.path)})


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system gives no other number")
def test_what_the_parent_held_is_not_counted():
    words = [sys.executable, "-c", PARENT, CHILD]
    found = subprocess.run(words, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert 0 < float(found.stdout) < 200
