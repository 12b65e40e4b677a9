"""The trainings of a bench, and what is like one: work done once, before any query, that has a cost of its own."""

from pathlib import Path
from typing import Any

from personaplug.bench.json_files import plain, write_json
from personaplug.bench.layout import Measured, TaskLayout
from personaplug.bench.measuring import method_spec, queries_of
from personaplug.bench.recipe import Contender, Recipe
from personaplug.bench.run_configs import run_of
from personaplug.evaluation.cost import TrainingCost
from personaplug.plug.run_folder import WEIGHTS, holds_run
from personaplug.rivals.learned_retrieval.run_folder import forget_said
from personaplug.rivals.user_lora.run import UserLoraConfig
from personaplug.training.checkpoints import discard_leftovers, is_finished
from personaplug.workflows.evaluate import write_profiles
from personaplug.workflows.train import train
from personaplug.workflows.train_user_lora import fit_users


def train_contender(
    recipe: Recipe, layout: TaskLayout, *, contender: Contender, seed: int, k: int | None, on: Measured = "test"
) -> None:
    """Train a run, or go on where its training was stopped.

    Of one that was stopped nobody has counted all seconds: None stands for them. Adapters keep their own, user by user.
    """
    out = layout.run(contender, seed, k=k, on=on)
    was_begun = holds_run(out) and not contender.kind.is_per_user
    outcome = _train(recipe, layout, contender=contender, seed=seed, k=k, on=on)
    seconds = {"seconds": None} if was_begun else {}
    write_json(layout.trained(contender, seed, k=k, on=on), plain(outcome) | seconds)


def describe_users(recipe: Recipe, layout: TaskLayout, *, contender: Contender) -> None:
    """Have the descriptions of ``text-profile`` written for all measured queries."""
    method = method_spec(recipe, layout, contender=contender, seed=None, k=None)
    assert method.profiles is not None
    was_begun = method.profiles.exists()
    queries = queries_of(recipe, "test")
    cost = write_profiles(layout.log, layout.task_file, method=method, queries=queries, progress=layout.progress)
    write_json(layout.trained(contender, None), TrainingCost() if was_begun else cost)


def _train(recipe: Recipe, layout: TaskLayout, *, contender: Contender, seed: int, k: int | None, on: Measured) -> Any:  # noqa: ANN401 (each kind of training has an outcome of its own)
    """Train, and give the outcome; nothing where only the word of it was missing."""
    out = layout.run(contender, seed, k=k, on=on)
    store = layout.store if contender.kind.reads_vectors else None
    if _only_leftovers(out, contender):
        return {}
    ropg = _retrievers(recipe, layout, seed=seed) if contender.kind.learns == "selector" else ()
    run = run_of(recipe, layout, contender=contender, seed=seed, k=k, on=on, ropg=ropg)
    if isinstance(run, UserLoraConfig):
        like = _begun(layout, contender, seed=seed, k=k, on=on)
        return fit_users(run, layout.log, out=out, resume=True, like=like, progress=layout.progress)
    return train(
        run,
        layout.log,
        out=out,
        store=store,
        resume=True,
        shared_inputs=layout.shared_inputs,
        progress=layout.progress,
    )


def _only_leftovers(out: Path, contender: Contender) -> bool:
    """Tell whether a run is trained and has only something to tidy up, which is done here."""
    if contender.kind.learns == "prefix" and is_finished(out):
        discard_leftovers(out)
        return True
    if contender.kind.is_learned_retrieval and (out / WEIGHTS).exists():
        forget_said(out)
        return True
    return False


def _begun(layout: TaskLayout, contender: Contender, *, seed: int, k: int | None, on: Measured) -> Path:
    """Name the run, trained before, whose users start from the same: that for dev, for strangers that for test."""
    return layout.run(contender, seed, k=k, on="test" if on == "stranger" else "dev")


def _retrievers(recipe: Recipe, layout: TaskLayout, *, seed: int) -> list[Path]:
    """Name the recipe's trained retrievers of a seed: a trained choice chooses from them too."""
    return [layout.run(each, seed) for each in recipe.contenders if each.kind.learns == "ranker"]
