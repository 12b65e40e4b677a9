"""Logs of queries that are spread over users: few of each, and each with the history it has in the whole log."""

import gzip
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.make_spread_logs import ITEMS, MOST, spread, write_drawn
from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.tasks.task import load_task

BEGUN = datetime(2020, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Commits of four users, of whom one writes far more than the others, in 2020 to 2022."""
    path = tmp_path_factory.mktemp("commits") / "git_commits.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for user, count in (("ada", 90), ("bo", 20), ("cyd", 12), ("dee", 4)):
            for at in range(count):
                row = {"user_id": user, "id": f"{user}{at}", "time": (BEGUN + timedelta(days=10.5 * at)).isoformat()}
                file.write(json.dumps(row | {"body": f"what {user} did {at}", "subject": f"did {at}"}) + "\n")
    return path


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_drawn_query_has_the_history_that_it_has_in_the_whole_log(source, tmp_path, split):
    write_drawn("git-subject", source, tmp_path, seed=0)
    task, drawn_task = load_task("git-subject"), load_task(str(tmp_path / "git-subject.toml"))
    whole = {each.id: each for each in split_examples(read_log(source, task), task, split=split)}
    drawn = split_examples(read_log(tmp_path / "git-subject.jsonl", drawn_task), drawn_task, split=split)
    counts = Counter(each.profile.user_id for each in drawn)
    assert 0 < max(counts.values()) <= MOST[split][0]
    for each in drawn:
        meant = whole[each.id.removesuffix("?")]
        assert (each.input, each.target, each.profile.user_id) == (meant.input, meant.target, meant.profile.user_id)
        assert [item.id for item in each.profile.items] == [item.id for item in meant.profile.items[-ITEMS:]]


def test_no_user_has_more_queries_than_are_allowed_and_of_one_seed_they_are_the_same(source):
    task = load_task("git-subject")
    examples = split_examples(read_log(source, task), task, split="train")
    few = spread(examples, 3, 100, seed=0)
    assert max(Counter(each.profile.user_id for each in few).values()) == 3
    assert len(spread(examples, 3, 4, seed=0)) == 4
    assert [each.id for each in few] == [each.id for each in spread(examples, 3, 100, seed=0)]
    assert [each.id for each in few] != [each.id for each in spread(examples, 3, 100, seed=1)]
