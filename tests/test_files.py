"""Files that appear whole or not at all."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from personaplug.files import appearing, check_can_appear, write_text
from tests.full_disk import full_disk


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "report.json"
    path.write_bytes(b"old")
    return path


def names_beside(path):
    return sorted(each.name for each in path.parent.iterdir())


def test_a_failure_in_the_middle_leaves_the_old_file_and_no_draft(path):
    with pytest.raises(TypeError), appearing(path) as fresh, fresh.open("w") as file:
        file.writelines(["half", None])
    assert (path.read_bytes(), names_beside(path)) == (b"old", ["report.json"])


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_the_old_one(path):
    with full_disk(), pytest.raises(OSError, match=r"File too large: '.*/report.json'"):
        write_text(path, "x" * 100_000)
    assert (path.read_bytes(), names_beside(path)) == (b"old", ["report.json"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_device_is_written_as_it_is_and_never_replaced():
    with pytest.raises(OSError, match="/dev/full") as caught:
        write_text(Path("/dev/full"), "x")
    assert caught.value.errno == errno.ENOSPC
    check_can_appear(Path("/dev/full"))
    assert Path("/dev/full").is_char_device()


def test_an_error_about_another_file_still_names_it(path):
    with pytest.raises(FileNotFoundError, match="source"), appearing(path):
        (path.parent / "source").read_text()


def test_two_who_write_at_once_leave_one_of_the_two_whole(path):
    texts = [letter * 500_000 for letter in "abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_text(path, text), texts))
    assert path.read_text() in texts
    assert names_beside(path) == ["report.json"]


def test_a_link_stays_a_link_and_a_closed_file_stays_closed(path):
    link = path.with_name("link")
    link.symlink_to(path)
    path.chmod(0o600)
    write_text(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_writes_in_anothers_place_still_belongs_to_them(path):
    path.chmod(0o600)
    os.chown(path, 10001, 10002)
    write_text(path, "new")
    after = path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode & 0o777) == (10001, 10002, 0o600)


def test_a_link_in_the_place_of_a_draft_leads_nobody_to_another_file(path, tmp_path):
    other = tmp_path / "other"
    other.write_text("whose")
    other.chmod(0o640)
    before = other.stat()
    path.chmod(0o600)
    with pytest.raises(OSError, match="symbolic links"), appearing(path) as fresh:
        fresh.symlink_to(other)
    after = other.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


def test_a_disk_that_knows_of_no_owners_is_written_to_all_the_same(path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fchown", refuse)
    with suppress(PermissionError):
        os.chown(path, 10001, 10002)
    write_text(path, "new")
    assert path.read_text() == "new"


def test_the_longest_name_can_be_written(tmp_path):
    write_text(tmp_path / ("ü" * 127), "text")
    assert len(names_beside(tmp_path / "x")) == 1


def test_what_cannot_be_written_shows_before_the_work(path):
    check_can_appear(path)
    assert (path.read_bytes(), names_beside(path)) == (b"old", ["report.json"])
    with pytest.raises(IsADirectoryError):
        check_can_appear(path.parent)
    with pytest.raises(FileNotFoundError, match=r"none/report.json'"):
        check_can_appear(path.parent / "none" / "report.json")
