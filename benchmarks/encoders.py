"""Compare encoders by what their untrained vectors tell of answers to come, on a log's test queries.

    python -m benchmarks.encoders git_commits.jsonl.gz --task git-subject --encoder minilm --encoder smollm2

For each encoder, with 95% intervals over users:

- retrieved: ROUGE-1 of the output whose input is nearest to the query, against the right answer.
- author: how often a right answer is nearer to its user's earlier outputs (mean cosine) than to a stranger's; chance
  is 0.5.
- cosine: mean and spread between two texts of the log: an attention over vectors that are all alike weighs all alike.

Differences from the first encoder follow, on the same queries. ``random`` and ``best`` bound what retrieval could give.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from time import process_time

import click
import numpy as np

from benchmarks.intervals import mean_over_answers
from personaplug.backbone.device import start_torch
from personaplug.data.log import read_log
from personaplug.data.split import Examples, split_examples
from personaplug.data.stranger import with_strangers
from personaplug.embedder.encoder import TextEncoder
from personaplug.evaluation.rouge import rouge_1
from personaplug.plug.encoders import encoder_config, load_encoder
from personaplug.records import Example
from personaplug.tasks.task import load_task


@dataclass(frozen=True, slots=True)
class Drawn:
    """Queries with their own histories, and with those of strangers."""

    own: Sequence[Example]
    stranger: Sequence[Example]

    @property
    def users(self) -> list[str]:
        """Who asks each query."""
        return [example.profile.user_id for example in self.own]


@click.command()
@click.argument("log", type=click.Path(exists=True, path_type=Path))
@click.option("--task", "task_name", required=True, help="A built-in task or a .toml file.")
@click.option("--encoder", "names", multiple=True, required=True, help="As given to index; repeatable.")
@click.option("--queries", type=int, default=150, show_default=True, help="Test queries, at most 4 of a user.")
@click.option("--items", type=int, default=10, show_default=True, help="The latest of a history.")
@click.option("--max-tokens", type=int, help="Cut texts here, for all encoders.")
def main(log: Path, task_name: str, names: tuple[str, ...], queries: int, items: int, max_tokens: int | None) -> None:
    """Measure each encoder on the same queries."""
    task = load_task(task_name)
    task = replace(task, history=replace(task.history, max_items=items))
    examples = split_examples(read_log(log, task), task, split="test")
    drawn = _drawn(examples, queries)
    click.echo(f"{len(drawn.own)} queries of {len(set(drawn.users))} users")
    _show("random", "retrieved", [_mean_rouge(example) for example in drawn.own], drawn)
    _show("best", "retrieved", [max(_rouges(example)) for example in drawn.own], drawn)
    first: dict[str, list[float]] = {}
    for name in names:
        found = _measure(name, drawn, max_tokens=max_tokens)
        for what, values in found.items():
            _show(name, what, values, drawn)
            if what in first:
                less = [value - base for value, base in zip(values, first[what], strict=True)]
                _show(f"{name} less {names[0]}", what, less, drawn)
        first = first or found


def _drawn(examples: Examples, count: int) -> Drawn:
    """Draw queries with a fixed seed, at most four of a user; strangers are drawn among all users."""
    order, taken, kept = list(range(len(examples))), Counter[int](), []
    Random(0).shuffle(order)
    for at in order:
        owner = examples.queries[at].owner
        if taken[owner] < 4 and len(kept) < count:
            taken[owner] += 1
            kept.append(at)
    return Drawn(examples.subset(kept), with_strangers(examples, seed=0).subset(kept))


def _measure(name: str, drawn: Drawn, *, max_tokens: int | None) -> dict[str, list[float]]:
    config = encoder_config(name)
    encoder = load_encoder(replace(config, max_tokens=max_tokens or config.max_tokens), device=start_torch())
    began = process_time()
    inputs = sorted({text for example in drawn.own for text in _inputs(example)})
    outputs = sorted({text for example in (*drawn.own, *drawn.stranger) for text in _outputs(example)})
    texts = [*inputs, *outputs]
    vectors = encoder.encode(texts).numpy()
    click.echo(f"{encoder.fingerprint}: {len(texts)} texts, {process_time() - began:.0f} CPU seconds")
    asked = {example.input: vector for example, vector in zip(drawn.own, _queries(encoder, drawn), strict=True)}
    held = dict(zip(texts, vectors, strict=True))
    alike = vectors[: len(inputs)] @ vectors[: len(inputs)].T
    between = alike[np.triu_indices(len(inputs), 1)]
    click.echo(f"{name} cosine: {between.mean():.2f} on average, spread {between.std():.2f}")
    pairs = zip(drawn.own, drawn.stranger, strict=True)
    return {
        "retrieved": [_retrieved(example, asked[example.input], held) for example in drawn.own],
        "author": [float(_nearness(own, held) > _nearness(other, held)) for own, other in pairs],
    }


def _queries(encoder: TextEncoder, drawn: Drawn) -> np.ndarray:
    vectors: np.ndarray = encoder.encode([encoder.config.query_prefix + example.input for example in drawn.own]).numpy()
    return vectors


def _inputs(example: Example) -> list[str]:
    return [item.input for item in example.profile.items]


def _outputs(example: Example) -> list[str]:
    return [str(example.target), *(item.output for item in example.profile.items)]


def _retrieved(example: Example, query: np.ndarray, held: dict[str, np.ndarray]) -> float:
    keys = np.stack([held[text] for text in _inputs(example)])
    return _rouges(example)[int((keys @ query).argmax())]


def _nearness(example: Example, held: dict[str, np.ndarray]) -> float:
    outputs = np.stack([held[item.output] for item in example.profile.items])
    return float((outputs @ held[str(example.target)]).mean())


def _rouges(example: Example) -> list[float]:
    return [rouge_1(item.output, str(example.target)) for item in example.profile.items]


def _mean_rouge(example: Example) -> float:
    rouges = _rouges(example)
    return sum(rouges) / len(rouges)


def _show(name: str, what: str, values: Sequence[float], drawn: Drawn) -> None:
    mean = mean_over_answers(np.array(values), drawn.users, seed=0)
    click.echo(f"{name} {what}: {mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]")


if __name__ == "__main__":
    main()
