"""Measure what a persona and stored vectors give away: words, links between halves of a history, membership of items.

    python -m benchmarks.leak RUN STORE LOG --paper PAPER_RUN --out FILE.json
    python -m benchmarks.leak.price RUN STORE LOG --out PRICE.json
    python -m benchmarks.leak.table FILE.json --price PRICE.json

RUN is a trained run of the default plug, PAPER_RUN one of the paper's design over the same store. Users of test and dev
are attacked; the attacker knows the run's weights, the language model, and all other users' texts.

The results in the repository are of the log, the store and the plug (seed 0) of ``benchmarks/results/real-model``. The
run of the paper's design is shorter, and reads inputs and outputs:

    personaplug train LOG --task TASK --store STORE --backbone smollm2 --preset paper --limit 400 --out PAPER_RUN
      --set embedder.values=all --set training.epochs=1 --set training.batch_size=8 --set training.learning_rate=1e-3
      --set training.max_input_tokens=112 --set training.max_output_tokens=32
"""

import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import torch

from benchmarks.leak.forms import Form, PersonaForm, StoredForm
from benchmarks.leak.measure import FIRST, MOST, Line, Measurement
from benchmarks.leak.population import Population
from benchmarks.leak.switches import EVEN, FEWER, INT8, NONE, Switch, all_switches, noises
from benchmarks.results_file import write
from personaplug.plug.model import PersonaPlug
from personaplug.store.persona_store import PersonaStore

log = logging.getLogger("benchmarks.leak")


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("store", type=click.Path(exists=True, path_type=Path))
@click.argument("data", metavar="LOG", type=click.Path(exists=True, path_type=Path))
@click.option("--paper", type=click.Path(exists=True, path_type=Path), help="A run of the paper's design, too.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(run: Path, store: Path, data: Path, *, paper: Path | None, out: Path, seed: int) -> None:
    """Attack every form under every switch."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    opened = PersonaStore.open(store)
    plug = PersonaPlug.from_pretrained(run, store=opened)
    population = Population.read(data, plug.task)
    measurement = Measurement(plug, population, seed=seed)
    others: list[Form] = [StoredForm("stored vectors", "store", plug)]
    if paper:
        others.insert(0, PersonaForm("paper's persona", "paper", PersonaPlug.from_pretrained(paper, store=opened)))
    lines = list(_lines(measurement, others, seed=seed))
    users = {"reported": len(population.reported), "known": len({each.profile.user_id for each in population.known})}
    write(out, {"users": users, "seed": seed, "lines": lines})


def _lines(measurement: Measurement, others: list[Form], *, seed: int) -> Iterator[Line]:
    for line in _all(measurement, others, seed=seed):
        log.info("%s, %s, %s: %s", line.form, line.switch, line.attack, line.figures)
        yield line


def _all(measurement: Measurement, others: list[Form], *, seed: int) -> Iterator[Line]:
    plug = measurement.plug
    whole = PersonaForm("persona", "persona", plug)
    places = plug.run.embedder.output_tokens + 1
    by_query, of_all = (
        replace(whole, name="by the query", last=places),
        replace(whole, name="of all items", first=places),
    )
    switches = all_switches(torch.cat(measurement.made(whole, NONE, measurement.known, label="known")), seed=seed)
    yield measurement.guessed()
    for switch in switches:
        yield from _three(measurement, whole, switch)
    for half in (by_query, of_all):
        yield from _three(measurement, half, NONE)
    for switch in switches:
        if switch.temperature is None:
            yield from measurement.pursued(of_all, switch, most=MOST)
    for switch in (NONE, EVEN, *noises(0.5, 1.0, seed=seed)):
        yield from measurement.pursued(by_query, switch, most=FIRST)
    for switch in (NONE, *noises(0.5, 1.0, seed=seed)):
        yield measurement.told_by_pursuit(of_all, switch)
    for form in others:
        for switch in (NONE, INT8, FEWER, *noises(0.5, 1.0, seed=seed)):
            yield from _three(measurement, form, switch)


def _three(measurement: Measurement, form: Form, switch: Switch) -> Iterator[Line]:
    yield measurement.trained(form, switch)
    yield measurement.linked(form, switch)
    yield measurement.told(form, switch)


if __name__ == "__main__":
    main()
