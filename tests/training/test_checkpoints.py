import json

import pytest

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
