import subprocess
import sys
from pathlib import Path

import pytest

from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import read_config
from tests.cli.conftest import done, run_command, write_log
from tests.training import launched


@pytest.fixture(scope="module")
def words(models, tmp_path_factory):
    """Give the words of a training on a log with a row that cannot be read."""
    folder = tmp_path_factory.mktemp("many")
    log, store = folder / "log.jsonl", folder / "log.db"
    write_log(log)
    with log.open("a") as file:
        file.write("no row\n")
    common = log, "--task", "log", "--skip-bad", "--store", store, "--encoder", models["encoder"]
    done(run_command("index", *common))
    return "train", *common, "--backbone", models["decoder-only"], "--epochs", 1, "--batch-size", 2


TORCHRUN = "torch.distributed.run", "--nproc-per-node", "2", "--no-python"
ACCELERATE = "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--no_python"
IN_PARTS = "--set", "training.shards_backbone=true"


@pytest.mark.parametrize(
    ("launcher", "more"), [(TORCHRUN, ()), (ACCELERATE, IN_PARTS)], ids=["torchrun", "accelerate, in parts"]
)
def test_a_launcher_trains_one_run_in_two_processes_of_which_one_speaks(launcher, more, words, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")  # else accelerate looks for GPUs
    command = Path(sys.executable).with_name("personaplug")
    asked = [sys.executable, "-m", *launcher, command, *words, *more, "--out", tmp_path / "run"]
    result = subprocess.run([str(word) for word in asked], capture_output=True, text=True, timeout=110, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{tmp_path / 'run'}: 2 steps in ")
    assert result.stdout.count("\n") == 1
    assert result.stderr.count("Left out 1 bad rows.") == result.stderr.count("2/2") == 1
    assert "Warning" not in result.stderr
    assert "| steps | 2 of 4 queries in 2 processes," in (tmp_path / "run" / "README.md").read_text()
    assert read_config(RunConfig, tmp_path / "run" / "config.toml").training.shards_backbone == (more == IN_PARTS)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "README.md", "config.toml", "copy_head.safetensors", "metrics.jsonl", "model.safetensors",
        "shared_adapter.safetensors", "task.toml",
    }  # fmt: skip


LEAVING = """
import atexit
from personaplug.cli.launched import leave
atexit.register(print, "taken apart")
print("done")
leave()
"""


@pytest.mark.parametrize(("processes", "said"), [(1, "done\ntaken apart\n"), (2, "done\n")])
def test_one_of_many_processes_ends_before_python_takes_it_apart(processes, said, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    result = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, check=True)
    assert result.stdout == said


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("plug", "already holds a run"),
        ("user-lora", "user-lora is trained in one process, not 2"),
        ("unknown", "Invalid value for '--method'"),
    ],
)
def test_what_is_wrong_is_told_by_one_process_and_ends_all(method, message, words, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").touch()
    asked = words[: words.index("--store")] if method == "user-lora" else words
    codes = launched.launch(
        launched.command, *asked, "--method", method, "--out", tmp_path / "run", stderr=tmp_path / "stderr"
    )
    assert codes == [2 if method == "unknown" else 1] * 2
    assert (tmp_path / "stderr").read_text().count(message) == 1


@pytest.mark.parametrize("alone", [("--ray",), ("--ray-workers", 2)])
def test_a_cluster_and_a_number_of_processes_go_together(alone, words, tmp_path):
    result = run_command(*words, "--out", tmp_path / "run", *alone)
    assert result.exit_code == 2
    assert "--ray and --ray-workers go together" in result.stderr


def test_ray_without_its_packages_is_refused_with_what_installs_them(words, monkeypatch, tmp_path):
    for module in ("ray_training", "ray_connection"):
        monkeypatch.delitem(sys.modules, f"personaplug.workflows.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run_command(*words, "--out", tmp_path / "run", "--ray", "--ray-workers", 2)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "training on a Ray cluster needs packages that are not installed" in result.stderr
    assert "pip install 'personaplug[ray]'" in result.stderr
