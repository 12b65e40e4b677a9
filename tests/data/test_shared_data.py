"""The splits of the real logs are those that their README counts; skipped where the logs are not at hand."""

from pathlib import Path
from statistics import mean
from typing import get_args

import pytest

from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.tasks.task import Split, load_task

SHARED = Path(__file__).parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(not SHARED.exists(), reason=f"the real logs are not at {SHARED}")


@pytest.mark.parametrize(
    ("task_name", "log", "queries", "history"),
    [
        ("acl-title", "acl_papers", [11_754, 1_377, 1_409], [17, 13, 21]),
        ("git-subject", "git_commits", [27_840, 2_183, 1_942], [135, 161, 159]),
    ],
)
def test_a_task_on_the_real_logs_has_the_queries_its_readme_counts(task_name, log, queries, history):
    task = load_task(task_name)
    rows = list(read_log(SHARED / f"{log}.jsonl.gz", task))
    splits = [split_examples(rows, task, split=split) for split in get_args(Split)]
    assert [len(examples) for examples in splits] == queries
    lengths = [mean(query.stop - query.start for query in examples.queries) for examples in splits]
    assert [round(length) for length in lengths] == history
