"""What could a user's history teach, if something were fitted to each user? The ceiling of what is made without that.

    python -m benchmarks.ceiling RUN STORE LOG --out FILE.json

RUN is a trained run of the plug, with an adapter that reads answers alone: what does it still miss? For the dev
users with the longest histories each form of ``changes.py`` is fitted to the items before the user's first query, all
with equal steps on equal batches, and scored on the user's queries and on the next user's. Nothing of RUN or of the
language model changes. A form's rate is that which does best for the other half of the users.

In the precision of training: bfloat16 where the processor has it. Copied words are trained as in every training of the
plug, straight-through: a form learns what the language model would learn alone, and is scored with the words mixed in.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path

import click
import torch

from benchmarks.ceiling.changes import FORMS, Form
from benchmarks.ceiling.fitting import Batch, fit, nats, read
from benchmarks.ceiling.people import Person, people
from benchmarks.ceiling.table import Fitted, lines
from benchmarks.results_file import write
from personaplug.backbone.precision import for_steps
from personaplug.plug.model import PersonaPlug
from personaplug.store.persona_store import PersonaStore

log = logging.getLogger("benchmarks.ceiling")

_ITEMS = 32
"""To learn from, the latest."""


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("store", type=click.Path(exists=True, path_type=Path))
@click.argument("data", metavar="LOG", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON.")
@click.option("--users", type=int, default=14, show_default=True)
@click.option("--epochs", type=int, default=3, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(run: Path, store: Path, data: Path, *, out: Path, users: int, epochs: int, seed: int) -> None:
    """Fit every form to every user."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    plug = _in_steps(PersonaPlug.from_pretrained(run, store=PersonaStore.open(store)))
    if not plug.run.reads_inputs_alone or plug.adapter is None or not plug.run.vectors:
        raise click.UsageError(f"{run} is no plug whose adapter reads answers alone: train one by the default")
    who = people(data, plug, count=users, items=_ITEMS)
    asked = [read(plug, each.asked) for each in who]
    fitted = list(_fitted(plug, who, asked, epochs=epochs, seed=seed))
    precision = str(plug.backbone.dtype).removeprefix("torch.")
    about = {"users": len(who), "queries": sum(len(each.asked) for each in who), "precision": precision}
    write(out, about | {"items": _ITEMS, "epochs": epochs, "seed": seed, "lines": lines(fitted, seed=seed)})


def _in_steps(plug: PersonaPlug) -> PersonaPlug:
    """Take the language model in the precision of training's steps."""
    plug = copy(plug)
    plug.requires_grad_(requires_grad=False)
    plug.backbone = for_steps(plug.backbone, "auto", place="after")
    return plug


def _fitted(
    plug: PersonaPlug, who: Sequence[Person], asked: Sequence[Sequence[Batch]], *, epochs: int, seed: int
) -> Iterator[Fitted]:
    alone = [nats(plug, batches) for batches in asked]
    for at, person in enumerate(who):
        batches, after = read(plug, person.learned), (at + 1) % len(who)
        for form, rate in _tried():
            torch.manual_seed(seed)
            change = fit(plug, form.begin(plug), batches, epochs=epochs, rate=rate, seed=seed)
            numbers = sum(weight.numel() for weight in change.parameters())
            own, stranger = (nats(plug, asked[each], change) - alone[each] for each in (at, after))
            log.info("user %d, %s at %g: %+.2f, next %+.2f", at, form.name, rate, own.mean(), stranger.mean())
            yield Fitted(form.name, rate, user=at, numbers=numbers, own=own, stranger=stranger)


def _tried() -> Iterator[tuple[Form, float]]:
    return ((form, rate) for form in FORMS for rate in form.rates)


if __name__ == "__main__":
    main()
