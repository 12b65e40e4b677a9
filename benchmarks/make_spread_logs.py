"""Draw queries that are spread over users, for a language model of 135 million weights on two cores.

    python -m benchmarks.make_spread_logs build/data build/spread

writes, for each of the six tasks on the real logs, the task with the latest 30 items of a history (``NAME.toml``) and a
log (``NAME.jsonl``) of these queries and of the items that they may see. Splits, histories and embargoes are the
task's own; no user has more than so many queries, so that the talkative do not decide.
"""

import argparse
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

from benchmarks.make_acl_pair import Row, pair_rows
from personaplug.config import write_toml
from personaplug.data.log import read_log, write_log
from personaplug.data.split import Examples, split_examples
from personaplug.tasks.task import Split, load_task

TASKS = {
    "git-subject": "git_commits.jsonl.gz",
    "acl-venue": "acl_papers.jsonl.gz",
    "acl-title": "acl_papers.jsonl.gz",
    "git-opening": "git_commits.jsonl.gz",
    "acl-opening": "acl_papers.jsonl.gz",
    "acl-pair": "acl_papers.jsonl.gz",
}
"""The order in which to measure where time is short, and the logs."""

ITEMS = 30
MOST: dict[Split, tuple[int, int]] = {"train": (12, 800), "dev": (3, 160), "test": (4, 400)}
"""Queries of a user, and of all."""


def main() -> None:
    """Read the logs, write the drawn ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of acl_papers.jsonl.gz and git_commits.jsonl.gz")
    parser.add_argument("out", type=Path)
    parser.add_argument("--task", choices=TASKS, action="append", help="these alone")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.task or TASKS:
        write_drawn(name, options.data / TASKS[name], options.out, seed=options.seed)


def write_drawn(name: str, source: Path, out: Path, *, seed: int) -> None:
    """Write one task and its log."""
    task = load_task(name)
    whole = out / f"{name}.whole.jsonl"
    write_log(_rows_of(name, source), whole)
    rows = list(read_log(whole, task))
    with whole.open(encoding="utf-8") as lines:
        by_id = {(row["user_id"], row["id"]): row for row in map(json.loads, lines)}
    whole.unlink()
    short = replace(task, history=replace(task.history, max_items=ITEMS))
    drawn = {
        split: spread(split_examples(rows, short, split=split), *MOST[split], seed=seed) for split in get_args(Split)
    }
    write_log(_drawn_rows(drawn, by_id), out / f"{name}.jsonl")
    write_toml(replace(short, split=replace(task.split, by="column")), out / f"{name}.toml")
    sizes = ", ".join(f"{split} {len(each)} of {len({q.owner for q in each.queries})}" for split, each in drawn.items())
    print(f"{name}: queries of users: {sizes}")  # noqa: T201 (a script's own words)


def spread(examples: Examples, each: int, most: int, *, seed: int) -> Examples:
    """Draw at most ``each`` queries of a user, and of these at most ``most``."""
    draw, owned = random.Random(seed), defaultdict(list)
    for at, query in enumerate(examples.queries):
        owned[query.owner].append(at)
    few = [at for mine in owned.values() for at in draw.sample(mine, min(each, len(mine)))]
    return examples.subset(sorted(draw.sample(few, min(most, len(few)))))


def _rows_of(name: str, source: Path) -> Iterable[Row]:
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        rows = list(map(json.loads, lines))
    return pair_rows(rows, seed=0) if name == "acl-pair" else rows


def _drawn_rows(drawn: dict[Split, Examples], by_id: dict[tuple[str, str], Row]) -> Iterator[Row]:
    """Give each item that a query may see once, and each query; an item that is a query too is two rows."""
    seen = {(each.profile.user_id, item.id) for part in drawn.values() for each in part for item in each.profile.items}
    yield from (by_id[key] | {"split": "history"} for key in sorted(seen))
    for split, part in drawn.items():
        for example in part:
            row = by_id[example.profile.user_id, example.id]
            yield row | {"id": f"{row['id'].removesuffix('?')}?", "split": split}


if __name__ == "__main__":
    main()
