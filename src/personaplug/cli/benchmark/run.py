"""A bench from its checked recipe to its result: steps that are not done, then what all of them come to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from personaplug.cli.benchmark.apart import apart
from personaplug.cli.benchmark.kinds import is_persona, is_retrieval
from personaplug.cli.benchmark.made_of import contender_parts, record, task_parts
from personaplug.cli.benchmark.place import TaskPlace
from personaplug.cli.benchmark.recipe import Contender, Recipe
from personaplug.cli.benchmark.steps import Step, first_steps, last_steps, seeds_of
from personaplug.evaluation.bench import BenchResult, Choice, Runs, choose_k, summarize
from personaplug.evaluation.published import Published, published_scores
from personaplug.evaluation.report import Report

Tell = Callable[[str], None]


@dataclass(slots=True)
class Counter:
    """Counts steps, does those that are not done, and tells of each.

    Attributes:
        total: Of all tasks.
        tell: Told what is done now.
        number: Of the latest step.
        done_now: Steps that were not done before.
    """

    total: int
    tell: Tell
    number: int = 0
    done_now: int = 0

    def go(self, steps: Sequence[Step]) -> None:
        """Do the steps that are not done."""
        for step in steps:
            self.number += 1
            if not step.is_done:
                self.tell(f"[{self.number}/{self.total}] {step.title}")
                apart(step.work)
                self.done_now += 1


def do_all(recipe: Recipe, places: Sequence[TaskPlace], *, tell: Tell) -> tuple[list[Runs], list[tuple[Choice, ...]]]:
    """Do what is not done, task by task; give each task's reports and choices."""
    counter = Counter(count_steps(recipe, places), tell)
    runs, choices = [], []
    for number, place in enumerate(places):
        _record(recipe, place)
        counter.go(first_steps(recipe, place, others=places[:number]))
        chosen = _choices(recipe, place)
        for contender in recipe.contenders:
            counter.go(last_steps(recipe, place, contender, k=_k(contender, chosen)))
        runs.append(_runs(recipe, place, chosen))
        choices.append(tuple(chosen.values()))
    tell(f"{counter.done_now:,} of {counter.total:,} steps done now, the others before")
    return runs, choices


def is_finished(recipe: Recipe, place: TaskPlace) -> bool:
    """Tell whether nothing is left to do on a task."""
    if not all(step.is_done for step in first_steps(recipe, place, others=())):
        return False
    chosen = _choices(recipe, place)
    steps = (last_steps(recipe, place, contender, k=_k(contender, chosen)) for contender in recipe.contenders)
    return all(step.is_done for each in steps for step in each)


def count_steps(recipe: Recipe, places: Sequence[TaskPlace]) -> int:
    """Count all steps, done or not."""
    return sum(
        len(first_steps(recipe, place, others=()))
        + sum(len(last_steps(recipe, place, contender, k=None)) for contender in recipe.contenders)
        for place in places
    )


def result_of(
    name: str,
    text: str,
    recipe: Recipe,
    runs: Sequence[Runs],
    choices: Sequence[Sequence[Choice]],
    *,
    published: Published | None,
) -> BenchResult:
    """Sum up."""
    tasks = []
    for each, chosen in zip(runs, choices, strict=True):
        task = next(iter(each.values()))[0].task
        scores = published_scores(published, task, recipe.split) if published else ()
        tasks.append(summarize(each, chosen, published=scores))
    return BenchResult(name, text, recipe.seeds, tuple(tasks), published.source if published else "")


def _record(recipe: Recipe, place: TaskPlace) -> None:
    """Write down what everything is made of, before it is made."""
    record(place.folder, lambda: task_parts(recipe, place))
    for contender in recipe.contenders:
        record(place.of(contender), partial(contender_parts, recipe, place, contender))


def _choices(recipe: Recipe, place: TaskPlace) -> dict[str, Choice]:
    """Choose the number of items of each retrieval method, by its name."""
    return {
        contender.name: choose_k(contender.name, place.task.metrics[0], _on_dev(recipe, place, contender))
        for contender in recipe.contenders
        if is_retrieval(contender.method)
    }


def _on_dev(recipe: Recipe, place: TaskPlace, contender: Contender) -> dict[int, list[Report]]:
    seeds = seeds_of(recipe, contender)
    return {k: [Report.read(place.report(contender, seed, "dev", k=k)) for seed in seeds] for k in recipe.k}


def _k(contender: Contender, chosen: Mapping[str, Choice]) -> int | None:
    return chosen[contender.name].chosen.k if contender.name in chosen else None


def _runs(recipe: Recipe, place: TaskPlace, chosen: Mapping[str, Choice]) -> Runs:
    """Read all reports, named as their contenders are."""
    runs: dict[str, list[Report]] = {}
    for contender in recipe.contenders:
        k = _k(contender, chosen)
        label = chosen[contender.name].label if contender.name in chosen else contender.name
        names = ["test", *(["stranger"] if recipe.strangers and is_persona(contender.method) else [])]
        for name in names:
            paths = [place.report(contender, seed, name, k=k) for seed in seeds_of(recipe, contender)]
            reports = [replace(Report.read(path), method=label) for path in paths]
            runs[reports[0].label] = reports
    return runs


def write_if_changed(path: Path, text: str, write: Callable[[Path, str], None]) -> None:
    """Leave a file alone that already says so."""
    if not path.exists() or path.read_bytes() != text.encode("utf-8", errors="backslashreplace"):
        write(path, text)
