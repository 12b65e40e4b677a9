"""``personaplug data``, as a person or a program uses it."""

import json
import subprocess
import sys

import pyarrow
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from personaplug.cli.main import cli
from tests.data.test_git_history import git
from tests.data.test_lamp import make_profile, write_split
from tests.data.test_mbox import make_mail

ROW = {"user_id": "ada", "time": "2024-05-01", "input": "What?", "output": "That."}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli, ["data", *map(str, words)])


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_rows(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_csv_becomes_a_log_and_the_log_is_audited(run, tmp_path):
    (tmp_path / "log.csv").write_text("user_id,time,input,output,stars\nada,1714564800,a,b,5\nada,1714564860,c,d,4\n")
    done = run("import", "log", "log.csv", "--task", "log", "--out", "log.jsonl")
    assert (done.exit_code, done.stdout) == (0, "log.jsonl: 2 rows\n")
    assert [row["stars"] for row in read_lines(tmp_path / "log.jsonl")] == ["5", "4"]
    done = run("audit", "log.jsonl", "--task", "log", "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert (found["rows"], found["users"], found["splits"][2]["queries"]) == (2, 1, 1)


def test_a_folder_of_parquet_is_audited_as_the_one_log_that_it_is(run, tmp_path):
    rows = [ROW, ROW | {"user_id": "bob"}, ROW | {"time": "2024-06-01"}]
    (tmp_path / "parts").mkdir()
    for at, row in enumerate(rows):
        parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "parts" / f"{at}.parquet")
    places = tmp_path / "parts", write_rows(tmp_path / "log.jsonl", *rows)
    from_folder, from_file = (run("audit", place, "--task", "log", "--json").stdout for place in places)
    assert json.loads(from_folder)["rows"] == 3
    assert from_folder == from_file


def test_an_audit_shows_all_its_counts(run, tmp_path):
    done = run("audit", write_rows(tmp_path / "log.jsonl", ROW, ROW | {"time": 10**9}), "--task", "log")
    for word in ("rows per user", "repeated rows", "own answer in history", "inputs also in train", "median 2", "test"):
        assert word in done.stdout


def test_an_item_that_stands_twice_in_a_lamp_profile_is_told(run, tmp_path):
    write_split(tmp_path / "lamp", "lamp-4", "dev", [[*make_profile("lamp-4", 2), *make_profile("lamp-4", 1)]])
    done = run("import", "lamp", "lamp", "--task", "lamp-4", "--out", "log.jsonl")
    assert (done.exit_code, done.stdout) == (0, "log.jsonl: 3 rows\n")
    assert "Left out 1 profile items that stand twice in a profile." in done.stderr


def test_bad_rows_stop_the_work_unless_they_are_to_be_left_out(run, tmp_path):
    path = write_rows(tmp_path / "log.jsonl", ROW, *[ROW | {"time": "never"}] * 25)
    done = run("audit", path, "--task", "log", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"{path}:2: the time 'never' cannot be read" in done.stderr
    assert "Hint: write ISO 8601" in done.stderr
    done = run("audit", path, "--task", "log", "--json", "--skip-bad")
    assert json.loads(done.stdout)["rows"] == 1
    assert "Left out 25 bad rows; the first 20 stand above." in done.stderr
    assert done.stderr.count("never") == 20
    assert "What?" not in done.stderr


def test_lamp_becomes_a_log(run, tmp_path):
    write_split(tmp_path / "LaMP_2", "lamp-2", "dev", [make_profile("lamp-2", 3)])
    done = run("import", "lamp", "LaMP_2", "--task", "lamp-2", "--out", "log.jsonl")
    assert (done.exit_code, done.stdout) == (0, "log.jsonl: 4 rows\n")


def test_a_repository_becomes_a_log(run, tmp_path):
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "One\n\nBody.", at="2020-01-01T00:00:00Z")
    git(tmp_path, "commit", "--allow-empty", "-m", "Two\n\nBody.", at="2021-01-01T00:00:00Z")
    done = run("import", "git", ".", "--since", "2020-06-01", "--out", "log.jsonl")
    assert done.exit_code == 0
    assert [row["subject"] for row in read_lines(tmp_path / "log.jsonl")] == ["Two"]
    assert "Left out 1 commits before --since." in done.stderr
    assert run("import", "git", ".", "--since", "lately", "--out", "log.jsonl").exit_code == 2


def test_a_mailbox_becomes_a_log(run, tmp_path):
    (tmp_path / "Sent.mbox").write_bytes(make_mail() + make_mail(From="bob@example.org"))
    done = run("import", "mbox", "Sent.mbox", "--address", "ada@example.org", "--out", "log.jsonl")
    assert (done.exit_code, done.stdout) == (0, "log.jsonl: 1 rows\n")
    assert "Left out 1 mails not sent from a given address." in done.stderr


@pytest.mark.parametrize("words", [["sample-tags"], ["--task", "sample-tags"]])
def test_a_sample_is_made_and_serves_its_task(words, run):
    done = run("import", "sample", *words, "--users", 3, "--seed", 1, "--out", "log.jsonl.gz")
    assert done.exit_code == 0
    found = json.loads(run("audit", "log.jsonl.gz", "--task", "sample-tags", "--json").stdout)
    assert (found["users"], found["not_labels"]) == (3, 0)


@pytest.mark.parametrize("words", [[], ["sample-tags", "--task", "sample-headlines"], ["tags"]])
def test_a_sample_that_is_not_clear_is_wrong_usage(words, run):
    assert run("import", "sample", *words, "--out", "log.jsonl").exit_code == 2


@pytest.mark.parametrize("kind", ["log", "lamp", "git", "mbox"])
def test_a_source_that_is_not_there_is_an_error_with_exit_code_1(kind, run, tmp_path):
    task = {"log": ["--task", "log"], "lamp": ["--task", "lamp-1"]}.get(kind, [])
    done = run("import", kind, "nowhere.jsonl", *task, "--out", "log.jsonl")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "nowhere.jsonl: " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["import"], ["import", "log"], ["import", "lamp"], ["import", "git"], ["audit"]])
def test_help_has_an_example(words, run):
    done = run(*words, "--help")
    assert done.exit_code == 0
    assert "  personaplug data " in done.stdout


def test_help_loads_nothing_heavy():
    check = (
        "import sys; from click.testing import CliRunner; from personaplug.cli.main import cli\n"
        "CliRunner().invoke(cli, ['data', 'import', 'log', '--help'])\n"
        "sys.exit(bool({'torch', 'transformers', 'pyarrow', 'matplotlib', 'numpy', 'rich.table'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
