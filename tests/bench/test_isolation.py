"""A step has a process of its own."""

import os
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from personaplug.bench.isolation import IMPORTED_ONCE, run_isolated
from personaplug.bench.training import train_contender
from personaplug.errors import DataError, PersonaPlugError
from tests.processes import die

PARENT = """
import sys
from functools import partial
from personaplug.bench import isolation
from tests.bench.test_isolation import stay, stumble
if __name__ == "__main__":
    isolation.IMPORTED_ONCE.clear()  # nothing slow is needed here
    isolation.run_isolated(partial(stay, sys.argv[1]))
"""


def write_number(path):
    Path(path).write_text(str(os.getpid()))


def write_modules(path):
    Path(path).write_text(" ".join(sys.modules))


def refuse_data():
    raise DataError("no column 'time'", path="log.csv", line=3, hint="add it")


def stumble():
    raise ZeroDivisionError("nobody expected this")


def stay(path):
    write_number(path)
    time.sleep(600)


def test_work_is_done_by_another_process(tmp_path):
    run_isolated(partial(write_number, tmp_path / "number"))
    assert int((tmp_path / "number").read_text()) != os.getpid()


def test_an_error_comes_over_with_its_hint():
    with pytest.raises(PersonaPlugError, match=r"log\.csv:3: no column 'time'") as caught:
        run_isolated(refuse_data)
    assert caught.value.hint == "add it"


def test_a_process_that_is_killed_is_an_error_that_says_so():
    with pytest.raises(PersonaPlugError, match="exit code -9") as caught:
        run_isolated(die)
    assert "killed for memory" in caught.value.hint


def test_an_error_that_is_not_ours_points_to_its_traceback_and_not_to_memory(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT.replace("partial(stay, sys.argv[1])", "stumble"))
    done = subprocess.run([sys.executable, tmp_path / "parent.py"], env=importing(), capture_output=True, text=True)
    assert done.stderr.index("ZeroDivisionError: nobody expected this") < done.stderr.index("failed: exit code 1")
    with pytest.raises(PersonaPlugError, match="failed: exit code 1") as caught:
        run_isolated(stumble)
    assert "traceback above" in caught.value.hint
    assert "memory" not in caught.value.hint


def test_work_finds_what_is_slow_to_import_imported_on_linux(tmp_path):
    run_isolated(partial(write_modules, tmp_path / "modules"))
    found = set((tmp_path / "modules").read_text().split())
    wanted = {"torch", "transformers.trainer", "peft", train_contender.__module__}
    assert wanted <= found or sys.platform != "linux"


@pytest.mark.parametrize("module", IMPORTED_ONCE)
def test_every_module_that_is_imported_once_is_there(module):
    assert find_spec(module) is not None


def test_the_process_dies_with_the_one_that_began_it(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", tmp_path / "number"], env=importing())
    wait_for(lambda: (tmp_path / "number").exists() and (tmp_path / "number").read_text())
    child = int((tmp_path / "number").read_text())
    parent.kill()
    parent.wait()
    wait_for(lambda: not is_alive(child))


def importing():
    root = str(Path(__file__).parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join([root, *sys.path])}


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
