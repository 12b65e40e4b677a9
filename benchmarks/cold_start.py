"""From how many items on does a trained plug beat its control? The same dev queries, with histories cut to few items.

    python -m benchmarks.cold_start RUN CONTROL STORE LOG --out FILE.json

Each query is asked once for each number of items, with its user's latest ones. A user with fewer items has all of them
in that row; ``with_so_many`` counts the queries whose user has enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import torch

from benchmarks.intervals import mean_over_answers
from benchmarks.paired_nats import Nats, nats
from benchmarks.results_file import write
from personaplug.backbone.base import GenerationConfig
from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.evaluation.significance import Estimate
from personaplug.methods.persona_plug import PlugMethod
from personaplug.plug.model import PersonaPlug
from personaplug.records import Example
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Task

ITEMS = (0, 1, 2, 4, 8, 16, 64)


@dataclass(frozen=True, slots=True)
class ColdStart:
    """What a plug gains where users have at most so many items.

    Attributes:
        nats: Mean of an answer, of the plug.
        against_control: The plug minus its control, nats of an answer.
        with_so_many: Queries whose user has at least so many items by then.
    """

    nats: float
    against_control: Estimate
    with_so_many: int


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("control_run", metavar="CONTROL", type=click.Path(exists=True, path_type=Path))
@click.argument("store", type=click.Path(exists=True, path_type=Path))
@click.argument("data", metavar="LOG", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON.")
@click.option("--queries", type=int, default=160, show_default=True, help="Dev queries, drawn with the seed.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(run: Path, control_run: Path, store: Path, data: Path, *, out: Path, queries: int, seed: int) -> None:
    """Measure a plug with few items of its users, against a run without any user."""
    torch.set_num_threads(1)
    with PersonaStore.open(store) as opened:
        plug, alone = (PersonaPlug.from_pretrained(each, store=opened) for each in (run, control_run))
        task = showing(plug.task, items=max(ITEMS))
        plug.batcher.task = task
        dev = split_examples(read_log(data, task), task, split="dev").sample(queries, seed=seed)
        rows = by_items(plug, dev, control=plug_nats(alone, dev), seed=seed)
    users = {example.profile.user_id for example in dev}
    write(out, {"queries": len(dev), "users": len(users), "seed": seed, "items": rows})


def showing(task: Task, *, items: int) -> Task:
    """Let a task's history have so many items, where its limit is below that."""
    return replace(task, history=replace(task.history, max_items=max(task.history.max_items, items)))


def by_items(plug: PersonaPlug, dev: Sequence[Example], *, control: Nats, seed: int) -> Mapping[str, ColdStart]:
    """Measure the plug at each number of items."""
    users = [example.profile.user_id for example in dev]
    rows = {}
    for count in ITEMS:
        found = plug_nats(plug, [replace(each, profile=each.profile.latest(count)) for each in dev])
        having = sum(len(each.profile.items) >= count for each in dev)
        rows[str(count)] = ColdStart(float(found.mean()), mean_over_answers(found - control, users, seed=seed), having)
    return rows


def plug_nats(plug: PersonaPlug, examples: Sequence[Example]) -> Nats:
    """Give the nats of each right answer by a plug, or by a control of it."""
    return nats(PlugMethod("plug", plug, GenerationConfig()), examples)


if __name__ == "__main__":
    main()
