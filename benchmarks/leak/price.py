"""What a switch costs: nats per answer on dev queries, with the switch less without it.

    python -m benchmarks.leak.price RUN STORE LOG --out FILE

It reads the language model, so it takes minutes a switch on one core; the leak itself is measured without that.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.batches import in_batches
from benchmarks.intervals import mean_over_answers
from benchmarks.leak.forms import PersonaForm, at_temperature, persona_places
from benchmarks.leak.population import Population, latest
from benchmarks.leak.switches import NONE, Change, Switch, all_switches
from benchmarks.results_file import write
from personaplug.backbone.decoder_only import DecoderOnlyBackbone
from personaplug.backbone.kept_inputs import KeptInputs
from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.plug.model import PersonaPlug
from personaplug.records import Example
from personaplug.store.persona_store import PersonaStore

_ROOM = 1_000_000_000
"""Bytes for what the language model makes of a batch of inputs."""


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("store", type=click.Path(exists=True, path_type=Path))
@click.argument("log", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--queries", type=int, default=160, show_default=True, help="Dev queries, drawn with the seed.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(run: Path, store: Path, log: Path, *, out: Path, queries: int, seed: int) -> None:
    """Price each switch on a trained run's dev queries."""
    torch.set_num_threads(1)
    plug = PersonaPlug.from_pretrained(run, store=PersonaStore.open(store))
    known = torch.cat(PersonaForm("persona", "persona", plug)(Population.read(log, plug.task).known, NONE))
    switches = all_switches(known, seed=seed)
    dev = split_examples(read_log(log, plug.task), plug.task, split="dev").sample(queries, seed=seed)
    found = nats(plug, dev, switches)
    users = [example.profile.user_id for example in dev]
    prices = {
        switch.name: mean_over_answers(row - found[0], users, seed=seed)
        for switch, row in zip(switches, found, strict=True)
    }
    write(out, {"queries": len(dev), "users": len(set(users)), "nats": float(found[0].mean()), "prices": prices})


def nats(
    plug: PersonaPlug, examples: Sequence[Example], switches: Sequence[Switch]
) -> Float[np.ndarray, "switches examples"]:
    """Give the nats of each right answer under each switch; a batch's inputs are read once for all of them."""
    return np.concatenate([_of_batch(plug, some, switches) for some in in_batches(examples)], axis=1)


def _of_batch(plug: PersonaPlug, examples: Sequence[Example], switches: Sequence[Switch]) -> np.ndarray:
    assert isinstance(plug.backbone, DecoderOnlyBackbone)
    plug.backbone.kept = KeptInputs(_ROOM)
    inputs = plug.backbone.embed(plug.prompts(examples), max_tokens=plug.prompts.max_tokens)
    plug.backbone.keep(replace(inputs, tail=plug.tokens_behind))
    return np.stack([_scored(plug, examples, switch) for switch in switches])


def _scored(plug: PersonaPlug, examples: Sequence[Example], switch: Switch) -> np.ndarray:
    """Score with gradients allowed, though none is taken: only then are inputs before a persona read once."""
    shown = latest(examples, switch.items)
    hook = plug.prefix.register_forward_hook(_changing(switch.change, at=persona_places(plug)))
    try:
        with at_temperature(plug, switch.temperature), torch.enable_grad():
            batch = plug.batcher(shown)
            scores = plug.backbone.score(
                plug.inputs(batch), batch.targets, max_tokens=plug.run.training.max_output_tokens
            )
    finally:
        hook.remove()
    found: np.ndarray = -scores.log_likelihood.detach().numpy()
    return found


def _changing(change: Change, *, at: slice) -> Callable[[object, object, Tensor], Tensor]:
    def hook(_module: object, _inputs: object, made: Tensor) -> Tensor:
        return torch.cat([made[:, : at.start], change(made[:, at]), made[:, at.stop :]], dim=1)

    return hook


if __name__ == "__main__":
    main()
