"""The steps of a bench as functions that a process of its own can do. What is done already is not done again."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, cast

from personaplug.cli.benchmark.files import write_json
from personaplug.cli.benchmark.kinds import is_plug_run, is_ropg, is_trained_for_k, needs_store
from personaplug.cli.benchmark.place import TaskPlace
from personaplug.cli.benchmark.recipe import Contender, Recipe
from personaplug.cli.benchmark.runs import base_run, learned_run, run_of
from personaplug.cli.encoders import start_torch
from personaplug.cli.evaluate import measure, this_machine
from personaplug.cli.index import fill_store
from personaplug.cli.measured import MethodWords, QueryWords
from personaplug.cli.train import fit
from personaplug.cli.train_retrieval import fit_retrieval
from personaplug.cli.user_lora import fit_users
from personaplug.config import write_toml
from personaplug.data.lamp import read_lamp
from personaplug.data.log import write_log
from personaplug.data.sample import SampleName, sample_log
from personaplug.plug.retrieval_run import WEIGHTS
from personaplug.plug.run import RunConfig
from personaplug.plug.user_lora import UserLoraConfig
from personaplug.training.checkpoints import is_finished

Measured = Literal["dev", "test", "stranger"]


def make_log(place: TaskPlace) -> None:
    """Make the log of a sample, or of LaMP's files."""
    place.folder.mkdir(parents=True, exist_ok=True)
    if place.source.sample:
        rows = sample_log(cast(SampleName, place.task.name), users=place.source.sample, seed=0)
        write_log(rows, place.log)
    else:
        write_log(read_lamp(place.given, place.task.name), place.log)


def index_log(recipe: Recipe, place: TaskPlace, reuse: Sequence[Path]) -> None:
    """Index the log; what stands in the stores of other tasks is not encoded again."""
    encoder = base_run(recipe, place).encoder.model
    found = [store for store in reuse if store.exists()]
    counts = fill_store(place.log, place.task_file, store_path=place.store, encoder=encoder, reuse=found)
    write_json(place.indexed, counts)


def train_contender(recipe: Recipe, place: TaskPlace, contender: Contender, *, seed: int, k: int | None) -> None:
    """Train a run, or go on where its training was stopped."""
    out = place.run(contender, seed, k=k)
    outcome = _train(recipe, place, contender, seed=seed, k=k, out=out)
    write_json(place.trained(contender, seed, k=k), outcome)


def _train(recipe: Recipe, place: TaskPlace, contender: Contender, *, seed: int, k: int | None, out: Path) -> object:
    """Train, and give the outcome; nothing where only the word of it was missing."""
    store = place.store if needs_store(contender.method) else None
    if is_plug_run(contender.method):
        run = run_of(recipe, place, contender, seed=seed)
        assert isinstance(run, RunConfig)
        return {} if is_finished(out) else fit(run, place.log, out=out, store_path=store, resume=True)
    if contender.method == "user-lora":
        users = run_of(recipe, place, contender, seed=seed)
        assert isinstance(users, UserLoraConfig)
        return fit_users(users, place.log, out=out, device=start_torch(), machine=this_machine())
    ropg = [] if is_ropg(contender.method) else retrievers_of(recipe, place, seed=seed)
    learned = learned_run(recipe, place, contender, base_run(recipe, place, seed=seed), k=k, ropg=ropg)
    if (out / WEIGHTS).exists():
        return {}
    return fit_retrieval(learned, place.log, out=out, store_path=store, resume=True)


def retrievers_of(recipe: Recipe, place: TaskPlace, *, seed: int) -> list[Path]:
    """Name the recipe's trained retrievers of a seed: a trained choice chooses from them too."""
    return [place.run(each, seed) for each in recipe.contenders if is_ropg(each.method)]


def measure_contender(
    recipe: Recipe, place: TaskPlace, contender: Contender, name: Measured, *, seed: int | None, k: int | None
) -> None:
    """Measure a contender and write its report."""
    run = place.run(contender, seed, k=k if is_trained_for_k(contender.method) else None)
    if seed is None:
        run.mkdir(parents=True, exist_ok=True)
        write_toml(run_of(recipe, place, contender), run / "config.toml")
    method = MethodWords(
        contender.method,
        run=run,
        store=place.store if needs_store(contender.method) else None,
        k=k,
        profiles=place.of(contender) / "profiles",
        decoding=asdict(recipe.decoding),
    )
    queries = QueryWords(
        split="dev" if name == "dev" else recipe.split,
        stranger=name == "stranger",
        limit=recipe.dev_queries if name == "dev" else recipe.test_queries or None,
        seed=recipe.draw,
        batch_size=recipe.batch_size,
    )
    measure(place.log, place.task_file, method, queries=queries, out=place.report(contender, seed, name, k=k))
