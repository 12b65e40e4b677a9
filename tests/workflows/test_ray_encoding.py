import os
import random
import secrets
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import sleep

import numpy as np
import psutil
import pyarrow
import pytest
from pyarrow import parquet

from personaplug.data.log_url import log_address
from personaplug.errors import ClusterError, ConfigError, DataError
from personaplug.store.address import store_address
from personaplug.store.persona_store import PersonaStore
from personaplug.workflows import index as workflow
from personaplug.workflows.cluster import RayCluster
from personaplug.workflows.index import index
from tests.processes import kill_itself
from tests.store.fakes import rows_of
from tests.waiting import wait_until
from tests.workflows.dying_job import At, job_that_dies

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'personaplug[ray]'")
pytestmark = pytest.mark.timeout(600)  # processes that import torch are started, on whatever cores are free
WORDS = ["night", "day", "dusk", "dawn", "late", "early", "asked", "told", "written", "read"]


OWN = ("identity", "version")
"""What a store says of itself, and no other store does."""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log of eight calls of the encoder, the last of few texts: two files of Parquet in a folder."""
    lots = random.Random(0)
    rows = [
        {
            "user_id": f"user-{lots.randrange(40)}",
            "time": f"2024-01-{1 + at // 200:02}",
            "id": f"{at}",
            "input": " ".join(lots.choices(WORDS, k=lots.randint(1, 60))),
            "output": " ".join(lots.choices(WORDS, k=3)),
        }
        for at in range(7 * 512 + 9)
    ]
    folder = tmp_path_factory.mktemp("log")
    for name, part in {"a": rows[:2000], "b": rows[2000:]}.items():
        parquet.write_table(pyarrow.Table.from_pylist(part), folder / f"{name}.parquet")
    return log_address(str(folder))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    from tests.tiny import save_model, text_encoder

    return save_model(text_encoder(), tmp_path_factory.mktemp("encoder"))


def is_encoder(process):
    with suppress(psutil.NoSuchProcess):  # a zombie, too
        return " ".join(process.cmdline()).startswith("ray::MapWorker(MapBatches(_Actor))")
    return False


def started_by(pid):
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def kill_an_encoder():
    for _ in range(1000):
        for process in filter(is_encoder, started_by(os.getpid())):
            process.kill()
            process.wait(10)
            return process
        sleep(0.01)
    return None


@pytest.fixture(scope="module")
def alone(log, encoder, tmp_path_factory):
    """Give the store that one machine makes, and what it counts."""
    path = tmp_path_factory.mktemp("alone") / "log.db"
    return path, index(log, "log", store_path=path, encoder=encoder)


@pytest.fixture(scope="module")
def address(request, tmp_path_factory):
    """Give where the job's store is: in Postgres where there is one, else a file."""
    try:
        return store_address(request.getfixturevalue("postgres").url())
    except pytest.skip.Exception:
        return tmp_path_factory.mktemp("job") / "log.db"


@pytest.fixture(scope="module")
def killed(cluster, log, encoder, address):
    """Give the store of a job whose command, in a process of its own, was killed after two of eight calls."""
    head = ray.get_runtime_context().gcs_address
    ours = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}  # how it is joined
    kill_itself(job_that_dies, log, encoder, address, replace(cluster, address=head, actors=1), ours)
    return address


def test_a_job_that_was_killed_and_then_lost_a_worker_encodes_the_rest_alone_and_makes_the_store_of_one_machine(
    alone, killed, cluster, log, encoder
):
    whole, counts = alone
    with PersonaStore.open(killed) as store:
        assert store.count() == 2 * 512
    at = At(3 * 512, kill_an_encoder)
    again = index(log, "log", store_path=killed, encoder=encoder, ray=cluster, progress=at)
    assert at.result is not None
    assert not at.result.is_running()
    assert (again.skipped_existing, again.new_items) == (2 * 512, counts.new_items - 2 * 512)
    assert 0 < again.encoded_texts < counts.encoded_texts * 6 / 8
    with PersonaStore.open(killed) as store, PersonaStore.open(whole) as expected:
        assert rows_of(store) == rows_of(expected)


def test_a_job_on_a_cluster_fills_a_file_with_the_very_rows_of_one_machine(alone, cluster, log, encoder, tmp_path):
    whole, counts = alone
    assert index(log, "log", store_path=tmp_path / "log.db", encoder=encoder, ray=cluster) == counts
    ours, expected = (held_in(path) for path in (tmp_path / "log.db", whole))
    assert ours.keys() == expected.keys() > {"items", "users"}
    assert all(ours[table] == expected[table] for table in ours)


@contextmanager
def another_node():
    """Join a node of one CPU to this session's cluster: a raylet with processes of its own, which can all be killed."""
    words = ("--address", ray.get_runtime_context().gcs_address, "--num-cpus", "1", "--object-store-memory", "80000000")
    ray_command = str(Path(sys.executable).with_name("ray"))
    raylet = subprocess.Popen(
        [ray_command, "start", *words, "--block"], start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: ray.cluster_resources()["CPU"] == 3)
        yield partial(lose_with_encoder, raylet.pid)
    finally:
        kill_all(raylet.pid)
        raylet.wait()
        wait_until(lambda: ray.cluster_resources()["CPU"] == 2)  # the next test's cluster is without it


def lose_with_encoder(pid):
    """Kill a node's processes once one of them is an encoder."""
    wait_until(lambda: any(is_encoder(process) for process in started_by(pid)))
    kill_all(pid)
    return True


def kill_all(pid):
    """Kill a process and all that it has started."""
    with suppress(psutil.NoSuchProcess):
        ended = [*started_by(pid), psutil.Process(pid)]
        for process in ended:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(ended, 10)


@pytest.mark.usefixtures("cluster")
def test_what_a_machine_was_to_encode_is_encoded_by_the_others_when_it_is_lost(alone, log, encoder, tmp_path):
    whole, counts = alone
    with another_node() as lost:
        at = At(3 * 512, lost)
        found = index(
            log, "log", store_path=tmp_path / "log.db", encoder=encoder, ray=RayCluster(actors=3), progress=at
        )
    assert at.result
    assert found == counts
    with PersonaStore.open(tmp_path / "log.db") as store, PersonaStore.open(whole) as expected:
        assert rows_of(store) == rows_of(expected)


def held_in(path):
    """Give all rows of a file's tables, but what names the store itself."""
    with closing(sqlite3.connect(path)) as file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        held = {table: sorted(file.execute(f"SELECT * FROM {table}")) for table in tables}
    held["meta"] = [row for row in held["meta"] if row[0] not in OWN]
    return held


def test_a_log_that_is_refused_makes_no_store(cluster, encoder, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"user_id": "ada", "time": "2024-01-01", "input": "asked"}\n')
    with pytest.raises(DataError, match="the column 'output' is missing"):
        index(path, "log", store_path=tmp_path / "log.db", encoder=encoder, ray=cluster)
    assert not (tmp_path / "log.db").exists()


def test_a_cluster_without_room_for_the_encoders_is_refused(cluster, log, encoder, tmp_path):
    with pytest.raises(ClusterError, match="has 2 CPUs, one for each encoder, too few for 3") as caught:
        index(log, "log", store_path=tmp_path / "log.db", encoder=encoder, ray=replace(cluster, actors=3))
    assert "--ray-actors 2" in caught.value.hint


def test_a_pipe_is_refused_before_a_cluster_is_sought(tmp_path):
    os.mkfifo(tmp_path / "log.jsonl")
    with pytest.raises(DataError, match="is a pipe, which is read once"):
        index(tmp_path / "log.jsonl", "log", store_path=tmp_path / "log.db", ray=RayCluster("127.0.0.1:1"))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("log.parquet", "'log.parquet' is no address of a Ray cluster"),
        ("ray://127.0.0.1:10001", "is no address of a Ray cluster"),
        ("127.0.0.1:1", "the Ray cluster 127.0.0.1:1 cannot be joined: .*refused"),
        ("127.0.0.1:99999", "the Ray cluster 127.0.0.1:99999 cannot be joined"),
    ],
)
def test_an_address_where_no_cluster_is_is_one_error_before_the_log_is_read(tmp_path, address, message):
    with pytest.raises(ClusterError, match=message) as caught:
        index(tmp_path / "none.jsonl", "log", store_path=tmp_path / "log.db", ray=RayCluster(address))
    assert caught.value.hint


@pytest.mark.parametrize(("gpus", "room"), [(0, (8, 1, 0)), (3, (3, 1, 1))])
def test_an_encoder_has_a_gpu_where_there_are_any_else_a_cpu(ray_connection, monkeypatch, gpus, room):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": float(gpus)})
    found = ray_connection.room_for(None, each="encoder", option="--ray-actors")
    assert found == ray_connection.Room(*room)


class Told:
    """An encoder whose cluster is this process: each text's vector is its length."""

    def __init__(self, ray_encoding, monkeypatch, calls):
        from personaplug.workflows.ray_connection import Room

        self.here = []
        monkeypatch.setattr(ray, "put", lambda table: table)
        monkeypatch.setattr(ray_encoding, "room_for", lambda *_, **__: Room(1, 1, 0))
        monkeypatch.setattr(ray_encoding.RayEncoder, "_encode", self._encode)
        settings = {"config": workflow.EncoderConfig(), "fingerprint": "", "actors": None}
        self.encode = ray_encoding.RayEncoder(calls, **settings, here=self._here)

    @staticmethod
    def _encode(encoder):
        for table in encoder._tables:
            yield table["call"][0].as_py(), vectors(table["texts"][0].as_py()).tobytes()

    def _here(self, texts):
        self.here.append(texts)
        return vectors(texts)


def vectors(texts):
    return np.array([[len(text)] for text in texts], "<f4")


def test_calls_that_come_otherwise_than_foreseen_get_their_own_vectors(ray_encoding, monkeypatch):
    told = Told(ray_encoding, monkeypatch, [["a", "bb"], ["ccc"], ["dddd"], ["e"]])
    come = [["a", "bb"], ["ccc", "new"], ["dddd"], ["f"], ["e"]]
    assert [told.encode(texts).tolist() for texts in come] == [vectors(texts).tolist() for texts in come]
    assert told.here == [["ccc", "new"], ["f"]]


def test_an_error_of_a_worker_has_none_of_its_words_unless_it_is_ours(ray_encoding):
    words = secrets.token_hex(8)
    strange, ours = RuntimeError("outer"), RuntimeError("outer")
    strange.__cause__, ours.__cause__ = ValueError(words), ConfigError("no such model", hint="fetch it")
    assert words not in str(ray_encoding._failed(strange))
    assert "RuntimeError from ValueError" in str(ray_encoding._failed(strange))
    assert "no such model" in str(ray_encoding._failed(ours))
    assert ray_encoding._failed(ours).hint == "fetch it"
