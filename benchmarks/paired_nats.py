"""How likely do trained runs find the same right answers? Nats of each run, and the difference of every two, paired.

    python -m benchmarks.paired_nats STORE LOG RUN RUN ... --split test --out FILE.json

It answers nothing, so it takes a fifth of the time of `personaplug evaluate`.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import click
import numpy as np
import torch
from jaxtyping import Float

from benchmarks.batches import in_batches
from benchmarks.intervals import mean_over_answers
from benchmarks.results_file import write
from personaplug.data.log import read_log
from personaplug.data.split import Split, split_examples
from personaplug.plug.model import PersonaPlug
from personaplug.records import Example
from personaplug.store.persona_store import PersonaStore

Nats = Float[np.ndarray, " queries"]


@click.command()
@click.argument("store", type=click.Path(exists=True, path_type=Path))
@click.argument("data", metavar="LOG", type=click.Path(exists=True, path_type=Path))
@click.argument("runs", metavar="RUN...", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON.")
@click.option("--split", type=click.Choice(["dev", "test"]), default="dev", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the intervals.")
def main(store: Path, data: Path, runs: tuple[Path, ...], *, out: Path, split: Split, seed: int) -> None:
    """Measure runs on the same queries."""
    torch.set_num_threads(1)
    with PersonaStore.open(store) as opened:
        plugs = {str(run): PersonaPlug.from_pretrained(run, store=opened) for run in runs}
        task = next(iter(plugs.values())).task
        asked = split_examples(read_log(data, task), task, split=split)
        measured = {name: nats(plug, asked) for name, plug in plugs.items()}
    users = [example.profile.user_id for example in asked]
    found = {
        "split": split,
        "queries": len(asked),
        "users": len(set(users)),
        "nats": {name: float(each.mean()) for name, each in measured.items()},
        "differences": {
            f"{one} minus {other}": mean_over_answers(measured[one] - measured[other], users, seed=seed)
            for one, other in combinations(measured, 2)
        },
    }
    write(out, found)


def nats(plug: PersonaPlug, examples: Sequence[Example]) -> Nats:
    """Give the nats of each right answer."""
    if items := plug.prompts.items:
        items.prepare(examples)
    return np.concatenate([-plug.score(batch).log_likelihood.numpy() for batch in in_batches(examples)])


if __name__ == "__main__":
    main()
