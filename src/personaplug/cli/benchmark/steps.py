"""All that a recipe asks for on a task, step by step."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from personaplug.cli.benchmark.kinds import is_persona, is_retrieval, is_trained, is_trained_for_k, needs_store
from personaplug.cli.benchmark.place import TaskPlace
from personaplug.cli.benchmark.recipe import Contender, Recipe
from personaplug.cli.benchmark.work import Measured, index_log, make_log, measure_contender, train_contender


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
    contenders = sorted(recipe.contenders, key=lambda each: is_trained_for_k(each.method))  # they choose from others
    steps = list(_preparations(recipe, place, others))
    for contender in contenders:
        steps += _trainings(recipe, place, contender)
    for contender in contenders:
        if is_retrieval(contender.method):
            steps += [step for k in recipe.k for step in _measurements(recipe, place, contender, "dev", k=k)]
    return steps


def last_steps(recipe: Recipe, place: TaskPlace, contender: Contender, *, k: int | None) -> list[Step]:
    """List the measurement of a contender with the chosen number of items."""
    steps = list(_measurements(recipe, place, contender, "test", k=k))
    if recipe.strangers and is_persona(contender.method):
        steps += _measurements(recipe, place, contender, "stranger", k=k)
    return steps


def seeds_of(recipe: Recipe, contender: Contender) -> tuple[int | None, ...]:
    """Give the seeds that a contender is measured with; None alone where nothing is trained."""
    return recipe.seeds if is_trained(contender.method) else (None,)


def _preparations(recipe: Recipe, place: TaskPlace, others: Sequence[TaskPlace]) -> Iterator[Step]:
    name = place.task.name
    if not place.source.log:
        yield Step(f"{name}: make the log", place.log, partial(make_log, place))
    if any(needs_store(contender.method) for contender in recipe.contenders):
        reuse = tuple(other.store for other in others)
        yield Step(f"{name}: index", place.indexed, partial(index_log, recipe, place, reuse))


def _trainings(recipe: Recipe, place: TaskPlace, contender: Contender) -> Iterator[Step]:
    if not is_trained(contender.method):
        return
    for seed in recipe.seeds:
        for k in recipe.k if is_trained_for_k(contender.method) else (None,):
            work = partial(train_contender, recipe, place, contender, seed=seed, k=k)
            product = place.trained(contender, seed, k=k)
            yield Step(_title(place, f"train {contender.name}", seed, k), product, work)


def _measurements(
    recipe: Recipe, place: TaskPlace, contender: Contender, name: Measured, *, k: int | None
) -> Iterable[Step]:
    what = f"measure {contender.name}{dict(dev=' on dev', test='', stranger=' with strangers')[name]}"
    for seed in seeds_of(recipe, contender):
        work = partial(measure_contender, recipe, place, contender, name, seed=seed, k=k)
        yield Step(_title(place, what, seed, k), place.report(contender, seed, name, k=k), work)


def _title(place: TaskPlace, what: str, seed: int | None, k: int | None) -> str:
    with_k = "" if k is None else f", k={k}"
    return f"{place.task.name}: {what}{with_k}{'' if seed is None else f', seed {seed}'}"
