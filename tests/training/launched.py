"""Processes that train one run together, as a launcher starts them: forked off one that has imported everything."""

import json
import os
from functools import partial
from itertools import count
from pathlib import Path
from time import sleep

from torch import distributed
from torch.distributed.tensor import DTensor

from personaplug.backbone.sharding import cut
from personaplug.cli.main import main
from personaplug.store.persona_store import PersonaStore
from personaplug.training.processes import Processes
from tests import processes
from tests.training.fit import build, fit


class CountingSource:
    """Counts the histories that are read through it."""

    def __init__(self, source):
        self.source, self.layout, self.read = source, source.layout, []

    def vectors(self, profile):
        self.read.append(len(profile.items))
        return self.source.vectors(profile)


def launch(work, *arguments, stderr):
    """Run a module's function in two processes with a launcher's words around them; give their exit codes."""
    meeting = distributed.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)  # as torchrun's agent has it
    told = (meeting.port, work, *arguments)
    started = [processes.start(as_one_of, place, *told, stderr=str(stderr)) for place in (0, 1)]
    for process in started:
        process.join(timeout=100)
    return [process.exitcode for process in started]


def train(models, store, folder, training, parts, resume, dies_at):
    """Train a tiny plug as one of the processes, and leave beside the run what this one has read."""
    group = Processes.joined()
    plug = build(models, "decoder-only", PersonaStore.open(store), training, **parts)
    plug.read_from(CountingSource(plug.source))
    if training.shards_backbone:
        cut(plug.backbone, device=plug.backbone.device)
        parts = [weight for weight in plug.backbone.model.parameters() if isinstance(weight, DTensor)]
        assert sum(part.to_local().numel() for part in parts) == sum(part.numel() for part in parts) / 2 > 0
    if dies_at and group.rank == 1:
        _before_loss(plug, dies_at, processes.die)
    with group.needing_each_other():
        fit(plug, folder, resume=resume)
    folder.with_name(f"{folder.name}-read-{group.rank}.json").write_text(json.dumps(plug.source.read))


def train_until_apart(models, store, folder, training, parts, apart):
    """Train as one of the processes; at the second loss wait until a file says that the cable between them is cut."""
    group = Processes.joined()
    plug = build(models, "decoder-only", PersonaStore.open(store), training, **parts)
    _before_loss(plug, 2, partial(_wait, folder.with_name(f"ready-{group.rank}"), apart))
    with group.needing_each_other():
        fit(plug, folder)


def command(*words):
    """Run a command as one of the processes."""
    main([str(word) for word in words])


def read_by(folder, place):
    """Give the lengths of the histories that one of the processes has read."""
    return json.loads(Path(folder).with_name(f"{folder.name}-read-{place}.json").read_text())


def as_one_of(place, port, work, *arguments, host="localhost", cable=""):
    """Run a module's function with a launcher's words around it; over a cable, if one is named."""
    os.environ |= {"RANK": str(place), "LOCAL_RANK": str(place), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    os.environ |= {"MASTER_ADDR": host, "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    if cable:
        os.environ["GLOO_SOCKET_IFNAME"] = cable
    work(*arguments)


def _before_loss(plug, number, act):
    """Have this process do something before the loss of this number."""
    taken, whole = count(1), plug.loss

    def acting(batch):
        if next(taken) == number:
            act()
        return whole(batch)

    plug.loss = acting


def _wait(ready, go_on):
    """Say that this process is ready, and wait for a file."""
    ready.touch()
    while not go_on.exists():
        sleep(0.05)
