"""All that a recipe asks for on a task, step by step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from personaplug.bench.layout import Measured, TaskLayout
from personaplug.bench.measuring import index_log, make_log, measure_contender
from personaplug.bench.recipe import Contender, Recipe
from personaplug.bench.training import describe_users, train_contender


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of work.

    Attributes:
        title: In words.
        product: The file that stands where it is done, and only there.
        work: Does it; whole, or again from where it was stopped.
    """

    title: str
    product: Path
    work: Callable[[], object]

    @property
    def is_done(self) -> bool:
        """Whether it is done already."""
        return self.product.exists()


def first_steps(recipe: Recipe, layout: TaskLayout, *, others: Sequence[TaskLayout]) -> list[Step]:
    """List what comes before the measurement: log, index, training, and dev for whoever has a k to choose."""
    contenders = sorted(recipe.contenders, key=lambda each: each.kind.learns == "selector")  # they choose from others
    steps = list(_preparations(recipe, layout, others=others))
    for contender in contenders:
        on: Measured = "dev" if trains_for_dev(recipe, contender) else "test"
        for k in recipe.numbers(contender) if contender.kind.is_trained_for_k else (None,):
            steps += _trainings(recipe, layout, contender=contender, k=k, on=on)
    for contender in contenders:
        if contender.kind.items:
            for k in recipe.numbers(contender):
                steps += _measurements(recipe, layout, contender=contender, name="dev", k=k)
    return steps


def last_steps(recipe: Recipe, layout: TaskLayout, *, contender: Contender, k: int | None) -> list[Step]:
    """List the measurement of a contender with the chosen number of items, and what is trained for that alone."""
    steps: list[Step] = []
    if trains_for_dev(recipe, contender):
        steps += _trainings(recipe, layout, contender=contender, k=k, on="test")
    if measured_as(recipe, contender) == "test":
        steps += _measurements(recipe, layout, contender=contender, name="test", k=k)
    if recipe.strangers and contender.kind.meets_strangers:
        if contender.kind.is_per_user:
            steps += _trainings(recipe, layout, contender=contender, k=k, on="stranger")
        steps += _measurements(recipe, layout, contender=contender, name="stranger", k=k)
    return steps


def seeds_of(recipe: Recipe, contender: Contender) -> tuple[int | None, ...]:
    """Give the seeds that a contender is measured with; None alone where nothing is trained."""
    return recipe.seeds if contender.kind.learns else (None,)


def measured_as(recipe: Recipe, contender: Contender) -> Measured:
    """Name the report of a contender's score: that by which ``k`` was chosen, where it is of the same queries."""
    return "dev" if contender.kind.items and recipe.chooses_on_measured else "test"


def trains_for_dev(recipe: Recipe, contender: Contender) -> bool:
    """Tell whether ``k`` is chosen by other adapters than are measured: one answers nothing that it may have seen."""
    return contender.kind.is_per_user and contender.kind.items is not None and not recipe.chooses_on_measured


def _preparations(recipe: Recipe, layout: TaskLayout, *, others: Sequence[TaskLayout]) -> Iterator[Step]:
    name = layout.task.name
    if not layout.source.log:
        yield Step(f"{name}: make the log", layout.log, partial(make_log, layout))
    if any(contender.kind.reads_vectors for contender in recipe.contenders):
        reuse = tuple(other.store for other in others)
        yield Step(f"{name}: index", layout.indexed, partial(index_log, recipe, layout, reuse=reuse))


def _trainings(
    recipe: Recipe, layout: TaskLayout, *, contender: Contender, k: int | None, on: Measured
) -> Iterator[Step]:
    if contender.kind.is_described:
        work = partial(describe_users, recipe, layout, contender=contender)
        yield Step(_title(layout, f"describe users for {contender.name}"), layout.trained(contender, None), work)
    if not contender.kind.learns:
        return
    what = f"train {contender.name}{dict(dev=' for dev', test='', stranger=' for strangers')[on]}"
    for seed in recipe.seeds:
        work = partial(train_contender, recipe, layout, contender=contender, seed=seed, k=k, on=on)
        product = layout.trained(contender, seed, k=k, on=on)
        yield Step(_title(layout, what, seed=seed, k=k), product, work)


def _measurements(
    recipe: Recipe, layout: TaskLayout, *, contender: Contender, name: Measured, k: int | None
) -> Iterator[Step]:
    what = f"measure {contender.name}{dict(dev=' on dev', test='', stranger=' with strangers')[name]}"
    is_for_them = trains_for_dev(recipe, contender) if name == "dev" else contender.kind.is_per_user
    on: Measured = name if is_for_them else "test"
    for seed in seeds_of(recipe, contender):
        work = partial(measure_contender, recipe, layout, contender=contender, name=name, seed=seed, k=k, on=on)
        yield Step(_title(layout, what, seed=seed, k=k), layout.report(contender, seed, name=name, k=k), work)


def _title(layout: TaskLayout, what: str, *, seed: int | None = None, k: int | None = None) -> str:
    with_k = "" if k is None else f", k={k}"
    return f"{layout.task.name}: {what}{with_k}{'' if seed is None else f', seed {seed}'}"
