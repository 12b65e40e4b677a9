"""The trainings of a bench, and what is like one: work done once, before any query, that has a cost of its own."""

from pathlib import Path
from typing import Any

from personaplug.cli.benchmark.files import plain, write_json
from personaplug.cli.benchmark.place import Measured, TaskPlace
from personaplug.cli.benchmark.recipe import Contender, Recipe
from personaplug.cli.benchmark.runs import adapters_run, base_run, learned_run, run_of
from personaplug.cli.benchmark.work import method_words, queries_of
from personaplug.cli.evaluate import this_machine, write_profiles
from personaplug.cli.train import fit
from personaplug.cli.train_retrieval import fit_retrieval
from personaplug.cli.user_lora import fit_users
from personaplug.evaluation.cost import TrainingCost
from personaplug.plug.device import start_torch
from personaplug.plug.run import RunConfig
from personaplug.plug.run_folder import WEIGHTS, holds_run
from personaplug.training.checkpoints import discard_leftovers, is_finished
from personaplug.training.retrieval_folder import forget_said


def train_contender(
    recipe: Recipe, place: TaskPlace, *, contender: Contender, seed: int, k: int | None, on: Measured = "test"
) -> None:
    """Train a run, or go on where its training was stopped.

    Of one that was stopped nobody has counted all seconds: None stands for them. Adapters keep their own, user by user.
    """
    out = place.run(contender, seed, k=k, on=on)
    was_begun = holds_run(out) and not contender.kind.is_per_user
    outcome = _train(recipe, place, contender=contender, seed=seed, k=k, on=on)
    seconds = {"seconds": None} if was_begun else {}
    write_json(place.trained(contender, seed, k=k, on=on), plain(outcome) | seconds)


def describe_users(recipe: Recipe, place: TaskPlace, *, contender: Contender) -> None:
    """Have the descriptions of ``text-profile`` written for all measured queries."""
    method = method_words(recipe, place, contender=contender, seed=None, k=None)
    assert method.profiles is not None
    was_begun = method.profiles.exists()
    queries = queries_of(recipe, "test")
    cost = write_profiles(place.log, place.task_file, method=method, queries=queries, on_bad=place.on_bad)
    write_json(place.trained(contender, None), TrainingCost() if was_begun else cost)


def _train(recipe: Recipe, place: TaskPlace, *, contender: Contender, seed: int, k: int | None, on: Measured) -> Any:  # noqa: ANN401 (each kind of training has an outcome of its own)
    """Train, and give the outcome; nothing where only the word of it was missing."""
    out = place.run(contender, seed, k=k, on=on)
    store = place.store if contender.kind.reads_vectors else None
    if contender.kind.learns == "prefix":
        run = run_of(recipe, place, contender=contender, seed=seed, k=k)
        assert isinstance(run, RunConfig)
        if is_finished(out):
            discard_leftovers(out)
            return {}
        return fit(run, place.log, out=out, store_path=store, resume=True, on_bad=place.on_bad)
    base = base_run(recipe, place, seed=seed)
    if contender.kind.is_per_user:
        users = adapters_run(recipe, place, contender=contender, base=base, k=k, on=on)
        device, machine, like = start_torch(), this_machine(), _begun(place, contender, seed=seed, k=k, on=on)
        return fit_users(users, place.log, out=out, device=device, machine=machine, on_bad=place.on_bad, like=like)
    if (out / WEIGHTS).exists():
        forget_said(out)
        return {}
    ropg = _retrievers(recipe, place, seed=seed) if contender.kind.learns == "selector" else []
    learned = learned_run(recipe, place, contender=contender, base=base, k=k, ropg=ropg)
    return fit_retrieval(learned, place.log, out=out, store_path=store, resume=True, on_bad=place.on_bad)


def _begun(place: TaskPlace, contender: Contender, *, seed: int, k: int | None, on: Measured) -> Path:
    """Name the run, trained before, whose users start from the same: that for dev, for strangers that for test."""
    return place.run(contender, seed, k=k, on="test" if on == "stranger" else "dev")


def _retrievers(recipe: Recipe, place: TaskPlace, *, seed: int) -> list[Path]:
    """Name the recipe's trained retrievers of a seed: a trained choice chooses from them too."""
    return [place.run(each, seed) for each in recipe.contenders if each.kind.learns == "ranker"]
