"""The examples that the embedded language model is trained on: every task's own prompts, without any user vector."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

from personaplug.data.sample import SampleName, sample_log
from personaplug.records import HistoryItem
from personaplug.tasks.task import Task, load_task

ACL_TASKS = ("acl-title", "acl-venue", "acl-opening")
TRAIN_COUNTS = {
    "acl-title": 9_000,
    "acl-venue": 6_000,
    "acl-opening": 9_000,
    "git-subject": 8_500,
    "git-opening": 8_500,
    "sample-tags": 6_000,
    "sample-headlines": 6_000,
}
ITEM_WORDS = 20
INPUT_PIECES = 80

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt and what should follow it."""

    task: str
    prompt: str
    target: str
    has_items: bool


@dataclass(frozen=True, slots=True)
class Corpus:
    """The logs of one split, by task."""

    rows: dict[str, list[Row]]

    def pairs(self, counts: dict[str, int], shortener: Tokenizer, seed: int) -> Iterator[Pair]:
        """Draw ``counts`` examples of each task, half of them with one or two of the user's earlier items."""
        for name, count in counts.items():
            task, rows = load_task(name), [row for row in self.rows[name] if row["user_id"]]
            random = Random(f"{seed} {name}")
            chosen = random.sample(range(len(rows)), min(count, len(rows)))
            earlier = _histories(task, rows)
            yield from (_pair(task, rows[i], earlier, shortener, random) for i in sorted(chosen))

    def background_pairs(self, shortener: Tokenizer, seed: int) -> Iterator[Pair]:
        """Use every paper without a user once, for one of the three tasks about papers."""
        random = Random(f"{seed} background")
        for row in (row for row in self.rows["acl-title"] if not row["user_id"]):
            yield _pair(load_task(random.choice(ACL_TASKS)), row, {}, shortener, random)


def train_corpus(data: Path) -> Corpus:
    """Read the train splits: papers from 2016 on, the background papers, commits before 2021, a sample of its own."""
    papers = [row for row in read(data / "acl_papers.jsonl.gz") if _part(row) > 1 and row["time"] >= "2016"]
    papers += read(data / "acl_background.jsonl.gz")
    commits = [row for row in read(data / "git_commits.jsonl.gz") if row["time"] < "2021"]
    return _corpus(papers, commits, sample_seed=1000, sample_users=1500)


def dev_corpus(data: Path) -> Corpus:
    """Read the dev splits, and a sample of users of yet another seed."""
    papers = [row for row in read(data / "acl_papers.jsonl.gz") if _part(row) == 1]
    commits = [row for row in read(data / "git_commits.jsonl.gz") if "2021" <= row["time"] < "2022"]
    return _corpus(papers, commits, sample_seed=1001, sample_users=100)


def read(path: Path) -> list[Row]:
    """Read a gzipped JSON Lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _corpus(papers: list[Row], commits: list[Row], *, sample_seed: int, sample_users: int) -> Corpus:
    samples: tuple[SampleName, ...] = ("sample-tags", "sample-headlines")
    rows = dict.fromkeys(ACL_TASKS, papers) | dict.fromkeys(("git-subject", "git-opening"), commits)
    return Corpus(rows | {name: list(sample_log(name, users=sample_users, seed=sample_seed)) for name in samples})


def _part(row: Row) -> int:
    return int(row["user_id"], 16) % 10


def _histories(task: Task, rows: Iterable[Row]) -> dict[str, list[HistoryItem]]:
    items = defaultdict(list)
    for row in rows:
        time = datetime.fromisoformat(row["time"])
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        items[row["user_id"]].append(HistoryItem(row["id"], task.input_of(row), task.output_of(row), time))
    return items


def _pair(task: Task, row: Row, histories: dict[str, list[HistoryItem]], shortener: Tokenizer, random: Random) -> Pair:
    items = _some_items(task, row, histories, random)
    prompt = task.prompt_text(_first_pieces(task.input_of(row), shortener), items)
    return Pair(task.name, prompt, task.output_of(row), has_items=bool(items))


def _some_items(task: Task, row: Row, histories: dict[str, list[HistoryItem]], random: Random) -> Sequence[HistoryItem]:
    if not row["user_id"] or random.random() < 0.5:
        return ()
    own = histories[row["user_id"]]
    now = next(item.time for item in own if item.id == row["id"]) - task.history.embargo
    earlier = [item for item in own if item.time < now]
    count = min(random.choice((1, 2)), len(earlier))
    chosen = earlier[len(earlier) - count :] if random.random() < 0.5 else random.sample(earlier, count)
    return [replace(item, input=_first_words(item.input), output=_first_words(item.output)) for item in chosen]


def _first_words(text: str) -> str:
    return " ".join(text.split()[:ITEM_WORDS])


def _first_pieces(text: str, shortener: Tokenizer) -> str:
    offsets = shortener.encode(text, add_special_tokens=False).offsets
    return text[: offsets[INPUT_PIECES - 1][1]] if len(offsets) > INPUT_PIECES else text
