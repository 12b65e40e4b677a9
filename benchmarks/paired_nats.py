"""How likely do methods find the same right answers? Nats of each, and the difference of every two, paired.

    python -m benchmarks.paired_nats STORE LOG RUN METHOD RUN ... --split test --strangers --out FILE.json

A method is the folder of what was trained, or the name of one that needs no training, such as ``dense``; it then has
the language model and the limits of the first run. Nothing is answered, so it takes a fifth of the time of
``personaplug evaluate``.
"""

from collections.abc import Mapping, Sequence
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
from personaplug.data.stranger import with_strangers
from personaplug.errors import ConfigError
from personaplug.evaluation.harness import LikelihoodMethod, Method, PreparingMethod
from personaplug.evaluation.significance import Estimate
from personaplug.method_kinds import kind_of
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run_folder import method_of, task_of
from personaplug.records import Example
from personaplug.store.persona_store import PersonaStore
from personaplug.workflows.methods import MethodOptions, build_method

Nats = Float[np.ndarray, " queries"]


@click.command()
@click.argument("store", type=click.Path(exists=True, path_type=Path))
@click.argument("data", metavar="LOG", type=click.Path(exists=True, path_type=Path))
@click.argument("names", metavar="RUN|METHOD...", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON.")
@click.option("--split", type=click.Choice(["dev", "test"]), default="dev", show_default=True)
@click.option("--strangers", is_flag=True, help="Measure with strangers' histories too, where a history is read.")
@click.option("-k", "--k", type=int, default=2, show_default=True, help="Items, of methods without training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of intervals and strangers.")
def main(  # noqa: PLR0913 (each option by itself, as click gives them)
    store: Path, data: Path, names: tuple[str, ...], *, out: Path, split: Split, strangers: bool, k: int, seed: int
) -> None:
    """Measure methods on the same queries."""
    torch.set_num_threads(1)
    runs = {name: Path(name) for name in names if Path(name).is_dir()}
    kinds = {name: kind_of(method_of(runs[name]) if name in runs else name) for name in names}
    if not runs:
        raise click.UsageError("name one folder at least: whatever needs no training has its language model and limits")
    first = next(iter(runs.values()))
    task = task_of(first)
    asked = split_examples(read_log(data, task), task, split=split)
    others = with_strangers(asked, seed=seed) if strangers else []
    users = [example.profile.user_id for example in asked]
    measured: dict[str, Nats] = {}
    personal: dict[str, Estimate] = {}
    with PersonaStore.open(store) as opened:
        for name in names:
            own_k = None if name in runs else k  # a run has that of its training
            options = MethodOptions(QuerySource.STORE, run=runs.get(name, first), store=opened, k=own_k)
            method = build_method(kinds[name].name, task, options=options)
            measured[name] = nats(method, asked)
            if others and kinds[name].meets_strangers:
                personal[name] = mean_over_answers(measured[name] - nats(method, others), users, seed=seed)
    found = {"split": split, "queries": len(asked), "users": len(set(users))} | _compared(measured, users, seed=seed)
    write(out, found | ({"own_minus_strangers": personal} if strangers else {}))


def nats(method: Method, examples: Sequence[Example]) -> Nats:
    """Give the nats of each right answer."""
    if not isinstance(method, LikelihoodMethod):
        raise ConfigError(f"{method.name} has no likelihood of a right answer", hint="leave it out")
    if isinstance(method, PreparingMethod):
        method.prepare(examples)
    each = (-method.log_likelihood(batch) * method.answer_tokens(batch) for batch in in_batches(examples))
    return np.concatenate(list(each))


def _compared(measured: Mapping[str, Nats], users: Sequence[str], *, seed: int) -> Mapping[str, object]:
    return {
        "nats": {name: float(each.mean()) for name, each in measured.items()},
        "differences": {
            f"{one} minus {other}": mean_over_answers(measured[one] - measured[other], users, seed=seed)
            for one, other in combinations(measured, 2)
        },
    }


if __name__ == "__main__":
    main()
