import json
import os

import pytest
import torch
from safetensors.torch import save_file

from personaplug.errors import ConfigError
from personaplug.training.checkpoints import CHECKPOINTS, METRICS, discard_checkpoints, rewind_metrics, starting_point

LAST = {"step": 9, "train_runtime": 1.5}


def leave_run(folder, *, checkpoints=(), metrics=(), torn=""):
    """Leave what an interrupted run leaves behind."""
    folder.joinpath("config.toml").touch()
    folder.joinpath(METRICS).write_text("".join(json.dumps(line) + "\n" for line in metrics) + torn)
    for step in checkpoints:
        checkpoint = folder / CHECKPOINTS / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        checkpoint.joinpath("trainer_state.json").write_text("{}")


def logged(folder):
    return [json.loads(line) for line in folder.joinpath(METRICS).read_text().splitlines()]


@pytest.mark.parametrize("resume", [True, False])
def test_a_new_folder_starts_at_the_start(tmp_path, resume):
    assert starting_point(tmp_path / "run", resume=resume) is None


def test_a_folder_with_a_run_is_refused_unless_it_is_resumed(tmp_path):
    leave_run(tmp_path, checkpoints=[4])
    with pytest.raises(ConfigError, match="already holds a run") as caught:
        starting_point(tmp_path, resume=False)
    assert "--resume" in caught.value.hint
    assert starting_point(tmp_path, resume=True) == tmp_path / CHECKPOINTS / "checkpoint-4"


def test_the_last_checkpoint_is_last_by_number(tmp_path):
    leave_run(tmp_path, checkpoints=[12, 8, 100, 20])
    assert starting_point(tmp_path, resume=True).name == "checkpoint-100"


@pytest.mark.parametrize("state", [None, "", '{"global_step": 8,'])
def test_a_checkpoint_that_was_not_written_to_its_end_is_passed_over(tmp_path, state):
    leave_run(tmp_path, checkpoints=[4, 8])
    path = tmp_path / CHECKPOINTS / "checkpoint-8" / "trainer_state.json"
    path.unlink() if state is None else path.write_text(state)
    assert starting_point(tmp_path, resume=True).name == "checkpoint-4"


def test_what_was_logged_after_the_checkpoint_is_dropped(tmp_path):
    lines = [{"step": step, "loss": 0.1 * step} for step in (2, 4, 6, 8)]
    leave_run(tmp_path, checkpoints=[4], metrics=[*lines, LAST], torn='{"step": 9, "lo')
    rewind_metrics(tmp_path, to=tmp_path / CHECKPOINTS / "checkpoint-4")
    assert logged(tmp_path) == lines[:2]


def test_what_was_logged_before_the_first_checkpoint_is_dropped(tmp_path):
    leave_run(tmp_path, metrics=[{"step": 2, "loss": 1.0}])
    assert starting_point(tmp_path, resume=True) is None
    rewind_metrics(tmp_path, to=None)
    assert not (tmp_path / METRICS).exists()


def test_a_run_killed_before_its_weights_were_saved_is_not_finished(tmp_path):
    leave_run(tmp_path, checkpoints=[9], metrics=[{"step": 9, "loss": 1.0}, LAST])
    start = starting_point(tmp_path, resume=True)
    assert start.name == "checkpoint-9"
    rewind_metrics(tmp_path, to=start)
    assert logged(tmp_path) == [{"step": 9, "loss": 1.0}]


def test_a_finished_run_is_not_resumed(tmp_path):
    leave_run(tmp_path, checkpoints=[9], metrics=[{"step": 9, "loss": 1.0}, LAST])
    discard_checkpoints(tmp_path)
    with pytest.raises(ConfigError, match="is finished") as caught:
        starting_point(tmp_path, resume=True)
    assert caught.value.hint
    assert logged(tmp_path) == [{"step": 9, "loss": 1.0}, LAST]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", METRICS]


def leave_states(checkpoint):
    """Leave weights and an optimizer's states in a checkpoint, as the trainer does."""
    save_file({"weight": torch.zeros(64)}, checkpoint / "model.safetensors")
    torch.save({"state": torch.zeros(64)}, checkpoint / "optimizer.pt")
    torch.save({"cpu": torch.zeros(64)}, checkpoint / "rng_state.pth")


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_checkpoint_of_which_a_file_is_cut_is_passed_over(name, share, tmp_path):
    leave_run(tmp_path, checkpoints=[4, 8])
    for step in (4, 8):
        leave_states(tmp_path / CHECKPOINTS / f"checkpoint-{step}")
    assert starting_point(tmp_path, resume=True).name == "checkpoint-8"
    path = tmp_path / CHECKPOINTS / "checkpoint-8" / name
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert starting_point(tmp_path, resume=True).name == "checkpoint-4"


def test_a_byte_that_has_turned_in_an_optimizers_states_is_found(tmp_path):
    leave_run(tmp_path, checkpoints=[4, 8])
    checkpoint = tmp_path / CHECKPOINTS / "checkpoint-8"
    leave_states(checkpoint)
    content = bytearray((checkpoint / "optimizer.pt").read_bytes())
    content[content.index(bytes(64)) + 32] ^= 1
    (checkpoint / "optimizer.pt").write_bytes(content)
    assert starting_point(tmp_path, resume=True).name == "checkpoint-4"


def test_a_checkpoint_whose_best_weights_are_broken_is_passed_over(tmp_path):
    leave_run(tmp_path, checkpoints=[4, 8, 12])
    (tmp_path / CHECKPOINTS / "checkpoint-12" / "trainer_state.json").write_text('{"best_global_step": 8}')
    assert starting_point(tmp_path, resume=True).name == "checkpoint-12"
    (tmp_path / CHECKPOINTS / "checkpoint-8" / "model.safetensors").write_bytes(b"cut")
    assert starting_point(tmp_path, resume=True).name == "checkpoint-4"


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"loss": 1.0}'])
def test_a_broken_line_of_metrics_is_named(line, tmp_path):
    leave_run(tmp_path, checkpoints=[4], metrics=[{"step": 2}])
    with (tmp_path / METRICS).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ConfigError, match=r"metrics.jsonl:2: not a line"):
        rewind_metrics(tmp_path, to=None)


@pytest.mark.parametrize("resume", [True, False])
def test_what_a_kill_at_the_very_end_has_left_is_gone_after_the_next_command(resume, tmp_path):
    leave_run(tmp_path, checkpoints=[9], metrics=[{"step": 9, "loss": 1.0}, LAST])
    (tmp_path / CHECKPOINTS).rename(tmp_path / f".{CHECKPOINTS}")
    gone, alive = tmp_path / f".model.safetensors.{2**22 + 1}", tmp_path / f".README.md.{os.getpid()}"
    for draft in (gone, alive):
        draft.touch()
    with pytest.raises(ConfigError):
        starting_point(tmp_path, resume=resume)
    assert {path.name for path in tmp_path.iterdir()} == {"config.toml", METRICS, alive.name}
