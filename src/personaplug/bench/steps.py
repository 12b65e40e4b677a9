"""All that a recipe asks for on a task, step by step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from personaplug.bench.layout import Measured, TaskPlace
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


def first_steps(recipe: Recipe, place: TaskPlace, *, others: Sequence[TaskPlace]) -> list[Step]:
    """List what comes before the measurement: log, index, training, and dev for whoever has a k to choose."""
    contenders = sorted(recipe.contenders, key=lambda each: each.kind.learns == "selector")  # they choose from others
    steps = list(_preparations(recipe, place, others=others))
    for contender in contenders:
        on: Measured = "dev" if trains_for_dev(recipe, contender) else "test"
        for k in recipe.numbers(contender) if contender.kind.is_trained_for_k else (None,):
            steps += _trainings(recipe, place, contender=contender, k=k, on=on)
    for contender in contenders:
        if contender.kind.items:
            for k in recipe.numbers(contender):
                steps += _measurements(recipe, place, contender=contender, name="dev", k=k)
    return steps


def last_steps(recipe: Recipe, place: TaskPlace, *, contender: Contender, k: int | None) -> list[Step]:
    """List the measurement of a contender with the chosen number of items, and what is trained for that alone."""
    steps: list[Step] = []
    if trains_for_dev(recipe, contender):
        steps += _trainings(recipe, place, contender=contender, k=k, on="test")
    if measured_as(recipe, contender) == "test":
        steps += _measurements(recipe, place, contender=contender, name="test", k=k)
    if recipe.strangers and contender.kind.meets_strangers:
        if contender.kind.is_per_user:
            steps += _trainings(recipe, place, contender=contender, k=k, on="stranger")
        steps += _measurements(recipe, place, contender=contender, name="stranger", k=k)
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


def _preparations(recipe: Recipe, place: TaskPlace, *, others: Sequence[TaskPlace]) -> Iterator[Step]:
    name = place.task.name
    if not place.source.log:
        yield Step(f"{name}: make the log", place.log, partial(make_log, place))
    if any(contender.kind.reads_vectors for contender in recipe.contenders):
        reuse = tuple(other.store for other in others)
        yield Step(f"{name}: index", place.indexed, partial(index_log, recipe, place, reuse=reuse))


def _trainings(
    recipe: Recipe, place: TaskPlace, *, contender: Contender, k: int | None, on: Measured
) -> Iterator[Step]:
    if contender.kind.is_described:
        work = partial(describe_users, recipe, place, contender=contender)
        yield Step(_title(place, f"describe users for {contender.name}"), place.trained(contender, None), work)
    if not contender.kind.learns:
        return
    what = f"train {contender.name}{dict(dev=' for dev', test='', stranger=' for strangers')[on]}"
    for seed in recipe.seeds:
        work = partial(train_contender, recipe, place, contender=contender, seed=seed, k=k, on=on)
        product = place.trained(contender, seed, k=k, on=on)
        yield Step(_title(place, what, seed=seed, k=k), product, work)


def _measurements(
    recipe: Recipe, place: TaskPlace, *, contender: Contender, name: Measured, k: int | None
) -> Iterator[Step]:
    what = f"measure {contender.name}{dict(dev=' on dev', test='', stranger=' with strangers')[name]}"
    is_for_them = trains_for_dev(recipe, contender) if name == "dev" else contender.kind.is_per_user
    on: Measured = name if is_for_them else "test"
    for seed in seeds_of(recipe, contender):
        work = partial(measure_contender, recipe, place, contender=contender, name=name, seed=seed, k=k, on=on)
        yield Step(_title(place, what, seed=seed, k=k), place.report(contender, seed, name=name, k=k), work)


def _title(place: TaskPlace, what: str, *, seed: int | None = None, k: int | None = None) -> str:
    with_k = "" if k is None else f", k={k}"
    return f"{place.task.name}: {what}{with_k}{'' if seed is None else f', seed {seed}'}"
