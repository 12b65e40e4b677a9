"""A machine that is lost closes no connection: what the other processes of a training then say."""

import time
from functools import partial

from torch import distributed

from tests import processes
from tests.another_machine import another_machine
from tests.training import launched
from tests.training.test_processes import EACH, PARTS


def test_where_the_machine_of_a_process_is_lost_the_other_says_so(models, store, tmp_path):
    cut, stderr = tmp_path / "cut", tmp_path / "stderr"
    work = (launched.train_until_apart, models, store.path, tmp_path / "run", EACH, PARTS, cut)
    with another_machine() as machine:
        machine.gives_up_after(3)
        meeting = distributed.TCPStore(machine.here, 0, is_master=True, wait_for_workers=False)
        on_cable = partial(launched.as_one_of, host=machine.here)
        here = partial(on_cable, cable=machine.cable)
        near = machine.also_kills(processes.start(here, 0, meeting.port, *work, stderr=str(tmp_path / "here")))
        there = machine.start(partial(on_cable, cable="out"), 1, meeting.port, *work, stderr=str(stderr))
        ready = [tmp_path / f"ready-{rank}" for rank in (0, 1)]
        while not all(file.exists() for file in ready):
            assert there.is_alive(), stderr.read_text()
            assert near.is_alive(), (tmp_path / "here").read_text()
            time.sleep(0.05)
        machine.cut()
        cut.touch()
        there.join(timeout=60)
        assert there.exitcode == 1, stderr.read_text()
    assert stderr.read_text().count("ProcessLostError: one of the 2 processes of this training is gone") == 1
    assert not (tmp_path / "run" / "model.safetensors").exists()
