"""Shorten the real logs for machines without a GPU; nobody who is measured loses a line.

    python -m benchmarks.make_short_logs build/data build

writes ``acl-half.jsonl``, the papers of all test and dev authors and of every second train author;
``acl-pair.jsonl``, the task of that name made of the same papers; and ``git-since-2012.jsonl``, the commits since 2012
of those who committed in 2022, the year of the test queries.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.make_acl_pair import Row, pair_rows
from personaplug.data.log import write_log


def main() -> None:
    """Read the logs, write the short ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of acl_papers.jsonl.gz and git_commits.jsonl.gz")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    papers = [row for row in _rows(options.data / "acl_papers.jsonl.gz") if _is_kept(row["user_id"])]
    write_log(papers, options.out / "acl-half.jsonl")
    write_log(pair_rows(papers, seed=0), options.out / "acl-pair.jsonl")
    commits = list(_rows(options.data / "git_commits.jsonl.gz"))
    active = {row["user_id"] for row in commits if row["time"] >= "2022"}
    late = (row for row in commits if row["user_id"] in active and row["time"] >= "2012")
    write_log(late, options.out / "git-since-2012.jsonl")


def _rows(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _is_kept(user: str) -> bool:
    """Keep the authors of test and dev, whose ids end so, and every second of the others."""
    number = int(user, 16)
    return number % 10 < 2 or number // 10 % 2 == 0


if __name__ == "__main__":
    main()
