import json
import os
import pickle
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Thread
from time import sleep
from traceback import format_exception

import pytest

from personaplug.errors import ClusterError, ConfigError, DataError, ProcessLostError
from personaplug.plug.run import TrainingConfig
from personaplug.rivals.user_lora.run import UserLoraConfig
from personaplug.training.checkpoints import CHECKPOINTS
from personaplug.workflows.index import index
from personaplug.workflows.progress import Silence
from personaplug.workflows.train import train
from tests.processes import die
from tests.training.curves import assert_alike
from tests.world import make_run, save_models

pytest.importorskip("ray", reason="Ray is not installed: pip install 'personaplug[ray]'")
pytestmark = pytest.mark.timeout(600)  # processes that import torch are started, on whatever cores are free

EACH = TrainingConfig(
    batch_size=2, epochs=4.0, learning_rate=3e-2, vector_learning_rate=0.3, evaluate_every=2, precision="float32"
)
"""Of two processes: of a checkpoint every second step two are left before the end."""
ROWS = [
    {"user_id": user, "time": f"2024-01-{day + 1:02}", "id": str(day), "input": f"tea {day}?", "output": answer}
    for user, answer in (("ada", "yes"), ("bob", "no"))
    for day in range(12)
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Give a log with a row that cannot be read, its store, and a run that is to be trained on it."""
    folder = tmp_path_factory.mktemp("world")
    models, log, store = save_models(folder / "models"), folder / "log.jsonl", folder / "log.db"
    log.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "no row\n")
    run = replace(make_run(models, "decoder-only", training=EACH), task="log")
    index(log, "log", store_path=store, encoder=run.encoder, progress=Silence(lambda _: None))
    return run, log, store


class Watching:
    """Hears how far a training is, and of rows that are left out."""

    def __init__(self):
        self.said, self.left_out = [], []

    def bad_row(self, error):
        self.left_out.append(str(error))

    def note(self, line):
        self.said.append(line)

    @contextmanager
    def bar(self, what, **_):
        yield lambda done, word="", *, total=None: self.said.append((what, done, word, total))


def die_after_checkpoints(folder, _):
    """Have the second process killed once there are two checkpoints, of which one is whole."""
    if os.environ["RANK"] == "1":
        Thread(target=_wait_and_die, args=(folder / CHECKPOINTS,), daemon=True).start()


def _wait_and_die(checkpoints):
    while len(list(checkpoints.glob("checkpoint-*"))) < 2:
        sleep(0.005)
    die()


def test_where_a_process_is_killed_one_error_says_so_and_resume_comes_to_the_losses_of_one_with_the_doubled_batch(
    ray_training, cluster, world, tmp_path
):
    run, log, store = world
    whole, together = tmp_path / "whole", tmp_path / "together"
    doubled = replace(run, training=replace(EACH, batch_size=4))
    train(doubled, log, out=whole, store=store, progress=Silence(lambda _: None))
    watching = Watching()
    watching.bad_row = partial(die_after_checkpoints, together)
    with pytest.raises(ClusterError, match="one of the 2 processes of this training is gone") as caught:
        ray_training.train_on_cluster(run, log, cluster=cluster, out=together, store=store, progress=watching)
    assert "--resume" in caught.value.hint
    assert not (together / "model.safetensors").exists()
    watching = Watching()
    fitted = ray_training.train_on_cluster(
        run, log, cluster=cluster, out=together, store=store, resume=True, progress=watching
    )
    what, done, word, total = watching.said[-1]
    assert (what, done, total) == ("train plug", fitted.steps, fitted.steps)
    assert word.startswith("loss ")
    assert len(watching.left_out) == 1
    assert f"{fitted.steps} of 4 queries in 2 processes" in (together / "README.md").read_text()
    assert_alike(together, whole, weights=["model.safetensors"], within=1e-3)


def test_what_is_wrong_before_a_cluster_is_needed_is_told_without_one(ray_training, cluster, world, tmp_path):
    run, log, store = world
    nowhere = replace(cluster, address="127.0.0.1:1")
    with pytest.raises(ConfigError, match="user-lora is trained in one process, not 2"):
        ray_training.train_on_cluster(UserLoraConfig(), log, cluster=nowhere, out=tmp_path / "run")
    (tmp_path / "config.toml").touch()
    with pytest.raises(ConfigError, match="already holds a run"):
        ray_training.train_on_cluster(run, log, cluster=nowhere, out=tmp_path, store=store)
    with pytest.raises(ClusterError, match="cannot be joined"):
        ray_training.train_on_cluster(run, log, cluster=nowhere, out=tmp_path / "run", store=store)


WORDS = "what ada wrote"


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (DataError(f"not a row: {WORDS}", path="log.jsonl", line=3), DataError, WORDS),
        (ValueError(WORDS), ClusterError, "the cluster cannot train: ValueError"),
        (ProcessLostError(2), ClusterError, "one of the 2 processes of this training is gone"),
    ],
)
def test_ray_hears_the_kind_of_an_error_alone_and_the_person_what_is_ours(
    ray_training, monkeypatch, raised, kind, said
):
    def failing(**_):
        raise raised

    monkeypatch.setattr(ray_training, "_trained", failing)
    with pytest.raises(ray_training._Failed) as caught:
        ray_training._work({})
    told = "".join(format_exception(caught.value))
    assert type(raised).__name__ in told
    assert WORDS not in told
    sent = pickle.loads(pickle.dumps(caught.value))
    failure = ray_training._failure(ray_training.WorkerGroupError(told, {0: sent}), processes=2)
    assert type(failure) is kind
    assert said in str(failure)
