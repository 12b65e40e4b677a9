from dataclasses import replace
from shutil import copytree
from signal import SIGKILL

import pytest
from safetensors.torch import load_file

from personaplug.embedder.copy_head import CopyingConfig
from personaplug.embedder.embedder_config import EmbedderConfig
from personaplug.errors import ConfigError
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.run import TrainingConfig
from tests.training import launched
from tests.training.curves import assert_alike, curve
from tests.training.fit import build, fit
from tests.training.launched import CountingSource, launch, read_by

EACH = TrainingConfig(
    batch_size=3, gradient_accumulation=2, epochs=2.0, learning_rate=3e-2, vector_learning_rate=0.3, evaluate_every=2
)
"""Of two processes: 25 queries are three steps an epoch, and in the last of them one process has nothing of its own."""
DOUBLED = replace(EACH, batch_size=6)
PARTS = {
    "embedder": EmbedderConfig(place="after"),
    "adapter": SharedAdapterConfig(rank=2),
    "copying": CopyingConfig(order=2),
}


@pytest.fixture(scope="module")
def whole(models, store, tmp_path_factory):
    """Train in one process with the doubled batch; give the folder and the histories that were read."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    plug = build(models, "decoder-only", store, DOUBLED, **PARTS)
    source = CountingSource(plug.source)
    plug.read_from(source)
    fit(plug, folder)
    return folder, source.read


@pytest.fixture(scope="module")
def together(models, store, tmp_path_factory):
    """Train in two processes; give the folder."""
    folder = tmp_path_factory.mktemp("together") / "run"
    trained(models, store, folder)
    return folder


def trained(models, store, folder, *, training=EACH, resume=False, dies_at=None, wanted=(0, 0)):
    stderr = folder.with_name("stderr")
    codes = launch(launched.train, models, store.path, folder, training, PARTS, resume, dies_at, stderr=stderr)
    said = stderr.read_text()
    assert tuple(codes) == wanted, said
    return said


def test_the_gate_of_the_users_own_words_is_trained(whole):
    gate = load_file(whole[0] / "copy_head.safetensors")
    assert all(weight.any() for weight in gate.values())


def test_two_processes_come_to_the_losses_and_weights_of_one_with_the_doubled_batch(together, whole):
    assert len(curve(together)) == 9
    assert_alike(together, whole[0])


def test_each_process_reads_its_part_of_the_histories_and_none_is_read_twice(together, whole):
    first, second = (read_by(together, place) for place in (0, 1))
    stand_ins = 2  # one an epoch, to keep in step
    assert len(first) + len(second) - stand_ins == len(whole[1])
    assert abs(len(first) - len(second)) <= stand_ins + 3


def test_where_a_process_is_killed_the_other_says_so_and_two_or_one_go_on_to_the_same_numbers(
    models, store, together, tmp_path
):
    run, alone = tmp_path / "run", tmp_path / "alone"
    said = trained(models, store, run, dies_at=11, wanted=(1, -SIGKILL))
    assert said.count("ProcessLostError: one of the 2 processes of this training is gone") == 1
    assert not (run / "model.safetensors").exists()
    copytree(run, alone)
    trained(models, store, run, resume=True)
    assert curve(run) == curve(together)
    assert_alike(run, together)
    with pytest.raises(ConfigError, match="batches of 3 queries in each of 2 processes, not of 3 in 1") as caught:
        fit(build(models, "decoder-only", store, EACH, **PARTS), alone, resume=True)
    assert caught.value.hint
    fit(build(models, "decoder-only", store, DOUBLED, **PARTS), alone, resume=True)
    assert_alike(alone, together)


def test_the_card_says_how_many_processes_trained(together, whole):
    assert "| steps | 6 of 12 queries in 2 processes, seed 0," in (together / "README.md").read_text()
    assert "| steps | 6 of 12 queries, seed 0," in (whole[0] / "README.md").read_text()


def test_a_language_model_in_two_parts_gives_the_losses_of_a_whole_one(models, store, whole, tmp_path):
    trained(models, store, tmp_path / "run", training=replace(EACH, shards_backbone=True))
    assert_alike(tmp_path / "run", whole[0])
