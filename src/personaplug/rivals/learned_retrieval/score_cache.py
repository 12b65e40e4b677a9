"""What the frozen language model said, asked once: the costly part of learning from it, and safe from interruption."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What is asked: a prompt, and the right answer where it is to be scored."""

    prompt: str
    target: str = ""

    @property
    def key(self) -> str:
        """A hash, so that a file of keys holds no text."""
        parts = json.dumps([self.prompt, self.target]).encode()
        return hashlib.blake2b(parts, digest_size=16).hexdigest()


class ScoreCache(Generic[T]):
    """Ask in batches, keep what was said in a file, a line a batch; a line that a crash cut short is asked again.

    Args:
        ask: Says one thing a question, that JSON can hold, the same for the same questions.
        path: The file; what it holds is not asked again.
        batch_size: Questions asked at once, those of similar length together.
    """

    def __init__(self, ask: Callable[[Sequence[ScoreRequest]], Sequence[T]], path: Path, *, batch_size: int) -> None:
        self.ask = ask
        self.path = path
        self.batch_size = batch_size
        self._said: dict[str, T] = _read(path)

    def __call__(
        self, questions: Sequence[ScoreRequest], *, on_progress: Callable[[int, int], None] | None = None
    ) -> list[T]:
        """Say one thing a question; ``on_progress`` is told how many were newly asked so far, and of how many."""
        wanted = {question.key: question for question in questions}
        missing = sorted(wanted.keys() - self._said.keys(), key=lambda key: (len(wanted[key].prompt), key))
        for start in range(0, len(missing), self.batch_size):
            keys = missing[start : start + self.batch_size]
            self._keep(dict(zip(keys, self.ask([wanted[key] for key in keys]), strict=True)))
            if on_progress:
                on_progress(start + len(keys), len(missing))
        return [self._said[question.key] for question in questions]

    def _keep(self, said: dict[str, T]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")
        self._said |= said


def _read(path: Path) -> dict[str, Any]:
    """Read whole lines, and cut off what a crash left of one, so that the next begins on a line of its own."""
    if not path.exists():
        return {}
    whole = path.read_bytes().rpartition(b"\n")[0]
    with path.open("r+b") as file:
        file.truncate(len(whole) + bool(whole))
    return {key: value for line in whole.splitlines() for key, value in json.loads(line).items()}
