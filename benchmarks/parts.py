"""Which part of a trained plug carries the person: its vectors, the user's own words that may be copied, or both?

    python -m benchmarks.parts RUN STORE LOG --out FILE.json

The weights are the same in every row, and so are the dev queries; what differs is what of the user stands beside the
language model. A row without any user is the adapter of all users alone, as users without items have it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from jaxtyping import Float

from benchmarks.batches import in_batches
from benchmarks.intervals import mean_over_answers
from benchmarks.results_file import write
from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.data.stranger import with_strangers
from personaplug.plug.batch import PlugBatch
from personaplug.plug.model import PersonaPlug
from personaplug.records import Example, Profile
from personaplug.store.persona_store import PersonaStore

NOTHING, VECTORS, WORDS, BOTH = "nothing of the user", "vectors alone", "copied words alone", "both, the plug"

Nats = Mapping[str, Float[np.ndarray, " queries"]]


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("store", type=click.Path(exists=True, path_type=Path))
@click.argument("data", metavar="LOG", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON.")
@click.option("--queries", type=int, default=160, show_default=True, help="Dev queries, drawn with the seed.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(run: Path, store: Path, data: Path, *, out: Path, queries: int, seed: int) -> None:
    """Measure each part with the own history and with a stranger's."""
    torch.set_num_threads(1)
    plug = PersonaPlug.from_pretrained(run, store=PersonaStore.open(store))
    dev = split_examples(read_log(data, plug.task), plug.task, split="dev").sample(queries, seed=seed)
    users = [example.profile.user_id for example in dev]
    own, strange = nats(plug, dev), nats(plug, with_strangers(dev, seed=seed))
    rows = {
        part: {
            "nats": float(own[part].mean()),
            "against nothing": mean_over_answers(own[part] - own[NOTHING], users, seed=seed),
            "own minus stranger's": mean_over_answers(own[part] - strange[part], users, seed=seed),
        }
        for part in own
    }
    write(out, {"queries": len(dev), "users": len(set(users)), "seed": seed, "parts": rows})


def nats(plug: PersonaPlug, examples: Sequence[Example]) -> Nats:
    """Give the nats of each right answer with each part of the plug."""
    batches = [_of_batch(plug, some) for some in in_batches(examples)]
    return {part: np.concatenate([each[part] for each in batches]) for part in batches[0]}


def _of_batch(plug: PersonaPlug, examples: Sequence[Example]) -> Nats:
    whole = plug.batcher(examples)
    nobody = plug.batcher([replace(each, profile=Profile(each.profile.user_id)) for each in examples])
    parts = {
        NOTHING: nobody,
        VECTORS: replace(whole, written=nobody.written),
        WORDS: replace(whole, history=nobody.history),
        BOTH: whole,
    }
    return {part: _scored(plug, batch) for part, batch in parts.items()}


@torch.inference_mode()
def _scored(plug: PersonaPlug, batch: PlugBatch) -> Float[np.ndarray, " queries"]:
    longest = plug.run.training.max_output_tokens
    scores = plug.backbone.score(plug.inputs(batch), batch.targets, max_tokens=longest)
    found: Float[np.ndarray, " queries"] = -scores.log_likelihood.numpy()
    return found


if __name__ == "__main__":
    main()
