"""A command that fails leaves each file that it would have written as it was."""

import json

import pytest

from tests.data.test_mbox import make_mail
from tests.evaluation.factories import Parrot, make_reports
from tests.full_disk import full_disk

OLD = b"what stood here before"


@pytest.fixture
def parrot(monkeypatch):
    """Let a parrot stand for every method."""
    from personaplug.workflows import methods

    monkeypatch.setattr(methods, "build_method", lambda name, task, options: Parrot(name, "3"))  # noqa: ARG005


@pytest.fixture
def folder(tmp_path):
    rows = [
        {"user_id": "u", "time": f"2024-05-0{day}", "id": f"q{day}", "input": "i", "output": "3", "split": "test"}
        for day in (1, 2)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "sent.mbox").write_bytes(make_mail())
    for name, report in zip("abcd", make_reports().values(), strict=True):
        report.write(tmp_path / f"{name}.json")
    return tmp_path


EVALUATE = "evaluate log.jsonl --task lamp-3 --method plain"
COMMANDS = [
    (f"{EVALUATE} --out old.json", "old.json"),
    (f"{EVALUATE} --out r.json --predictions old.json", "old.json"),
    ("compare a.json b.json --html old.html", "old.html"),
    ("compare a.json b.json --markdown old.md", "old.md"),
    ("data import log log.jsonl --task log --out old.jsonl", "old.jsonl"),
    ("data import log log.jsonl --task log --out old.jsonl.gz", "old.jsonl.gz"),
    ("data import mbox sent.mbox --out old.jsonl", "old.jsonl"),
    ("data import sample sample-tags --users 2 --out old.jsonl", "old.jsonl"),
]


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize(("command", "name"), COMMANDS)
def test_a_full_disk_is_one_error_that_leaves_the_old_file_and_no_draft(
    command, name, personaplug, folder, monkeypatch
):
    monkeypatch.chdir(folder)
    (folder / name).write_bytes(OLD)
    before = sorted(path.name for path in folder.iterdir())
    with full_disk(room=20):
        result = personaplug(*command.split())
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert (result.exit_code, len(errors)) == (1, 1), result.stderr
    assert "File too large" in errors[0]
    assert (folder / name).read_bytes() == OLD
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("option", ["--out", "--predictions"])
def test_an_evaluation_that_fails_leaves_old_report_and_predictions(option, personaplug, folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "old.json").write_bytes(OLD)
    result = personaplug(*f"{EVALUATE} --run nowhere --out r.json {option} old.json".split())
    assert result.exit_code == 1, result.stderr
    assert (folder / "old.json").read_bytes() == OLD


@pytest.mark.usefixtures("parrot")
def test_a_report_that_cannot_be_written_is_an_error_before_the_work(personaplug, folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = personaplug(*EVALUATE.split(), "--out", "x" * 300)
    assert result.exit_code == 1
    assert "File name too long" in result.stderr
    assert "evaluate plain" not in result.stderr


def test_keys_that_cannot_be_written_stay_as_they_were(personaplug, tmp_path):
    path = tmp_path / "keys.json"
    assert personaplug("keys", "add", "--keys", path, "--name", "laptop").exit_code == 0
    old, before = path.read_bytes(), sorted(tmp_path.iterdir())
    with full_disk():
        result = personaplug("keys", "add", "--keys", path, "--name", "phone")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "keys.json: File too large" in result.stderr
    assert (path.read_bytes(), sorted(tmp_path.iterdir())) == (old, before)
