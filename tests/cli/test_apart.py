"""A step has a process of its own."""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from personaplug.cli.benchmark.apart import apart
from personaplug.errors import DataError, PersonaPlugError
from tests.processes import die

PARENT = """
import sys
from functools import partial
from personaplug.cli.benchmark.apart import apart
from tests.cli.test_apart import stay
if __name__ == "__main__":
    apart(partial(stay, sys.argv[1]))
"""


def write_number(path):
    Path(path).write_text(str(os.getpid()))


def refuse_data():
    raise DataError("no column 'time'", path="log.csv", line=3, hint="add it")


def stumble():
    raise ZeroDivisionError("nobody expected this")


def stay(path):
    write_number(path)
    time.sleep(600)


def test_work_is_done_by_another_process(tmp_path):
    apart(partial(write_number, tmp_path / "number"))
    assert int((tmp_path / "number").read_text()) != os.getpid()


def test_an_error_comes_over_with_its_hint():
    with pytest.raises(PersonaPlugError, match=r"log\.csv:3: no column 'time'") as caught:
        apart(refuse_data)
    assert caught.value.hint == "add it"


def test_a_process_that_is_killed_is_an_error_that_says_so():
    with pytest.raises(PersonaPlugError, match="exit code -9") as caught:
        apart(die)
    assert "killed for memory" in caught.value.hint


def test_an_error_that_is_not_ours_points_to_its_traceback_and_not_to_memory(capfd):
    with pytest.raises(PersonaPlugError, match="failed: exit code 1") as caught:
        apart(stumble)
    assert "traceback above" in caught.value.hint
    assert "memory" not in caught.value.hint
    assert "ZeroDivisionError: nobody expected this" in capfd.readouterr().err


def test_the_process_dies_with_the_one_that_began_it(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    root = str(Path(__file__).parents[2])
    words = [sys.executable, tmp_path / "parent.py", tmp_path / "number"]
    parent = subprocess.Popen(words, env=os.environ | {"PYTHONPATH": os.pathsep.join([root, *sys.path])})
    wait_for(lambda: (tmp_path / "number").exists() and (tmp_path / "number").read_text())
    child = int((tmp_path / "number").read_text())
    parent.kill()
    parent.wait()
    wait_for(lambda: not is_alive(child))


def wait_for(condition):
    end = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
