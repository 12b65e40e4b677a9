"""Make the log of the task ``acl-pair`` from the papers: which of two titles is by this author?

The other title is of the same venue and year, by an author of the same split, drawn with a fixed seed.

    python benchmarks/make_acl_pair.py build/data/acl_papers.jsonl.gz acl-pair.jsonl
    personaplug index acl-pair.jsonl --task acl-pair --store acl-pair.db
"""

import argparse
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from personaplug.data.log import write_log
from personaplug.data.split import user_split
from personaplug.tasks.task import load_task

Row = dict[str, str]
_QUESTION = 'Which of these titles is by the author? [1] "{first}" [2] "{second}"'


def main() -> None:
    """Read the papers, write the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("papers", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with gzip.open(options.papers, "rt", encoding="utf-8") as lines:
        papers = [json.loads(line) for line in lines]
    write_log(pair_rows(papers, seed=options.seed), options.out)


def pair_rows(papers: list[Row], *, seed: int) -> Iterator[Row]:
    """Yield each paper twice: as history, and as a question where another paper can stand beside it."""
    task = load_task("acl-title")
    pools = defaultdict(list)
    for paper in papers:
        pools[_pool(paper, user_split(paper["user_id"], task))].append(paper)
    draw = random.Random(seed)
    for paper in papers:
        split = user_split(paper["user_id"], task)
        yield _row(paper, paper["title"], answer=paper["venue"], split="history")
        others = [other for other in pools[_pool(paper, split)] if other["user_id"] != paper["user_id"]]
        if others:
            yield _question(paper, draw.choice(others), is_first=draw.random() < 0.5, split=split)


def _pool(paper: Row, split: str) -> tuple[str, ...]:
    return paper["venue"], paper["time"], split


def _question(paper: Row, other: Row, *, is_first: bool, split: str) -> Row:
    first, second = (paper, other) if is_first else (other, paper)
    text = _QUESTION.format(first=first["title"], second=second["title"])
    return _row(paper, text, answer="[1]" if is_first else "[2]", split=split) | {"id": f"{paper['id']}?"}


def _row(paper: Row, text: str, *, answer: str, split: str) -> Row:
    return {key: paper[key] for key in ("user_id", "time", "id")} | {"input": text, "output": answer, "split": split}


if __name__ == "__main__":
    main()
