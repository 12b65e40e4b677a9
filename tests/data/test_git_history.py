"""Commits as a log."""

import os
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from personaplug.data.git_history import read_git, without_trailers
from personaplug.data.log import read_log, write_log
from personaplug.data.pseudonym import pseudonym
from personaplug.data.split import split_examples
from personaplug.errors import DataError
from personaplug.tasks.task import load_task

ADA = "Ada <ada@example.org>"


def git(folder, *words, at="2020-01-01T00:00:00Z", author=ADA):
    name, _, email = author.rstrip(">").partition(" <")
    settings = {
        **{
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in [("NAME", name), ("EMAIL", email)]
        },
        **{"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z"},
        **{"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
    }
    subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True, env=os.environ | settings)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "-b", "main")
    for day, author, message in [
        (1, ADA, "First\n\nBecause I can. 🦉\n\nSigned-off-by: Ada <ada@example.org>"),
        (2, "Bob <bob@example.org>", "Second\n\nBecause he can."),
        (3, "Ada <ADA@Example.org>", "Third\n\nTwo\nlines.\n\n    code\n\nReviewed-by: Bob <bob@example.org>\nCc: Eve"),
        (4, ADA, "No body"),
        (5, ADA, "Only trailers\n\nSigned-off-by: Ada <ada@example.org>"),
    ]:
        git(folder, "commit", "--allow-empty", "-m", message, at=f"2020-01-0{day}T12:00:00+02:00", author=author)
    git(folder, "checkout", "-b", "side", "HEAD~1")
    git(folder, "commit", "--allow-empty", "-m", "On a side\n\nOf its own.", at="2020-01-06T00:00:00Z")
    git(folder, "checkout", "main")
    git(folder, "merge", "--no-ff", "side", "-m", "Merge\n\nWith a body.", at="2020-01-07T00:00:00Z")
    return folder


def test_a_commit_becomes_a_row(repository):
    rows = {row["subject"]: row for row in read_git(repository)}
    assert rows.keys() == {"First", "Second", "Third", "On a side"}
    assert rows["First"]["body"] == "Because I can. 🦉"
    assert rows["Third"]["body"] == "Two\nlines.\n\n    code"
    assert rows["First"]["time"] == "2020-01-01T10:00:00+00:00"


def test_an_author_is_a_pseudonym_of_the_address_whatever_its_case(repository):
    rows = {row["subject"]: row["user_id"] for row in read_git(repository)}
    assert rows["First"] == rows["Third"] != rows["Second"]
    assert rows["First"] == "cfe00dde46ef"  # printf ada@example.org | sha256sum
    assert not any("example" in text for row in read_git(repository) for text in row.values())


def test_authors_without_an_address_are_told_apart_by_name(tmp_path):
    git(tmp_path, "init")
    bundle = b"".join(
        b"commit refs/heads/main\nauthor %s %d +0000\ncommitter C <c@c> %d +0000\ndata 12\nS%d\n\nA body.\n\n"
        % (who, n, n, n)
        for n, who in enumerate([b"Ada <>", b"Bob <>", b"Ada <>", b"Bob <none>", b" <none>", b"Ada <ada@example.org>"])
    )
    subprocess.run(["git", "-C", tmp_path, "fast-import", "--quiet"], input=bundle, check=True)
    git(tmp_path, "symbolic-ref", "HEAD", "refs/heads/main")
    reasons = []
    users = {row["subject"]: row["user_id"] for row in read_git(tmp_path, on_skip=reasons.append)}
    assert reasons == ["without an author's address or name"]
    assert users["S0"] == users["S2"]
    assert len({users[subject] for subject in ("S0", "S1", "S3", "S5")}) == 4


def test_nobody_has_no_pseudonym():
    for blank in ("", " \n"):
        with pytest.raises(ValueError, match="nobody"):
            pseudonym(blank)


def test_the_seconds_that_git_gives_are_never_taken_for_dates(tmp_path):
    git(tmp_path, "init")
    for seconds in (1850, 1950, 20240501, 20241399):
        git(tmp_path, "commit", "--allow-empty", "-m", "Old\n\nBody.", at=f"@{seconds} +0000")
    times = [datetime.fromisoformat(row["time"]).timestamp() for row in read_git(tmp_path)]
    assert times == [20241399, 20240501, 1950, 1850]


def test_what_is_left_out_is_told(repository):
    reasons = []
    since = datetime(2020, 1, 2, tzinfo=UTC)
    subjects = {row["subject"] for row in read_git(repository, since=since, on_skip=reasons.append)}
    assert subjects == {"Second", "Third", "On a side"}
    assert sorted(reasons) == ["before --since", "without a body or a subject", "without a body or a subject"]


def test_a_series_sees_nothing_of_itself_and_its_author_s_earlier_work(tmp_path):
    git(tmp_path, "init", "-b", "main")
    days = ["01-01", "01-02", "01-03", "02-01", "02-02", "02-03"]
    for number, day in enumerate(days):
        git(tmp_path, "commit", "--allow-empty", "-m", f"S{number}\n\nBody.", at=f"2022-{day}T00:00:00Z")
    write_log(read_git(tmp_path), tmp_path / "log.jsonl")
    task = load_task("git-subject")
    examples = split_examples(read_log(tmp_path / "log.jsonl", task), task, split="test")
    assert [example.target for example in examples] == ["S3", "S4", "S5"]
    assert all([item.output for item in example.profile.items] == ["S0", "S1", "S2"] for example in examples)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("Text.\n\nSigned-off-by: A <a@b>\n", "Text."),
        ("Text.\n\n[jc: fixed a typo]\nHelped-by: A <a@b>\n(cherry picked from commit abc)\nLink: x", "Text."),
        ("Note: this is text.", "Note: this is text."),
        ("One.\n\nSigned-off-by: A\n\nMore text.", "One.\n\nSigned-off-by: A\n\nMore text."),
        ("Signed-off-by: A", ""),
        ("  \n", ""),
    ],
)
def test_trailers_are_cut_off_and_text_is_kept(body, kept):
    assert without_trailers(body) == kept


def test_a_folder_that_is_no_repository_is_an_error(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match="git cannot read it") as caught:
            list(read_git(folder))
        assert "a git repository" in caught.value.hint


def test_a_repository_without_commits_is_an_error(tmp_path):
    git(tmp_path, "init")
    with pytest.raises(DataError, match="does not have any commits"):
        list(read_git(tmp_path))


@pytest.fixture
def git_that_says(tmp_path, monkeypatch):
    """Put a script in git's place."""

    def put(script):
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "git").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    return put


def test_of_a_repository_that_others_own_git_s_own_way_out_is_told_and_works(repository, tmp_path, git_that_says):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        patch.setenv("LANGUAGE", "de")
        theirs = tmp_path / "it's theirs"
        subprocess.run(["git", "clone", "-q", repository, theirs], check=True)
        git_that_says(f'GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {shutil.which("git")} "$@"')
        with pytest.raises(DataError, match="dubious ownership") as caught:
            list(read_git(theirs))
        subprocess.run(caught.value.hint.partition(": ")[2], shell=True, check=True)
        assert len(list(read_git(theirs))) == 4


@pytest.mark.parametrize(
    ("script", "message", "hint"),
    [
        ("kill -9 $$", "it ended with -9", "fsck"),
        ("echo 'fatal: bad object HEAD' >&2; exit 128", "read it: bad object HEAD", "fsck"),
    ],
)
def test_a_broken_repository_is_an_error_that_says_how_to_look_at_it(script, message, hint, repository, git_that_says):
    git_that_says(script)
    with pytest.raises(DataError, match=message) as caught:
        list(read_git(repository))
    assert hint in caught.value.hint


def test_no_git_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="git is not installed"):
        list(read_git(tmp_path))


def test_the_repository_is_the_one_given_even_inside_a_hook_of_another(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    with pytest.raises(DataError, match="git cannot read it"):
        list(read_git(tmp_path))


def test_who_stops_reading_early_leaves_no_process_behind(repository):
    rows = read_git(repository)
    next(rows)
    rows.close()
