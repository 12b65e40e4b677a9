"""A bench from its checked recipe to its result: steps that are not done, then what all of them come to."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from personaplug.bench.isolation import run_isolated
from personaplug.bench.json_files import read_json
from personaplug.bench.layout import Measured, TaskLayout
from personaplug.bench.provenance import contender_parts, record, task_parts
from personaplug.bench.recipe import Contender, Recipe
from personaplug.bench.steps import Step, first_steps, last_steps, measured_as, seeds_of
from personaplug.evaluation.averaging import averages
from personaplug.evaluation.bench import BenchResult, KChoice, choose_k, summarize
from personaplug.evaluation.comparison import SeedReports
from personaplug.evaluation.cost import TrainingCost
from personaplug.evaluation.published import Published, published_scores
from personaplug.evaluation.report import Report
from personaplug.files import write_text
from personaplug.method_kinds import CONTROLS

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TaskReports:
    """All that was measured on a task.

    Attributes:
        seeds: Every report, by the label of its contender.
        means: The reports' averages over seeds.
        trainings: What training cost, by label, one a seed.
        choices: Of who has retrieved items in the prompt.
    """

    seeds: SeedReports
    means: Mapping[str, Report]
    trainings: Mapping[str, Sequence[TrainingCost]]
    choices: tuple[KChoice, ...]


@dataclass(slots=True)
class StepRunner:
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
                run_isolated(step.work)
                self.done_now += 1


def do_all(recipe: Recipe, layouts: Sequence[TaskLayout], *, tell: Tell) -> list[TaskReports]:
    """Do what is not done, task by task; give each task's reports."""
    runner = StepRunner(count_steps(recipe, layouts), tell)
    measured = []
    for number, layout in enumerate(layouts):
        _record(recipe, layout)
        runner.go(first_steps(recipe, layout, others=layouts[:number]))
        chosen = _choices(recipe, layout)
        for contender in recipe.contenders:
            runner.go(last_steps(recipe, layout, contender=contender, k=_k(contender, chosen)))
        shutil.rmtree(layout.shared_inputs, ignore_errors=True)
        measured.append(_measured(recipe, layout, chosen=chosen))
    tell(f"{runner.done_now:,} of {runner.total:,} steps done now, the others before")
    return measured


def is_finished(recipe: Recipe, layout: TaskLayout) -> bool:
    """Tell whether nothing is left to do on a task."""
    if not all(step.is_done for step in first_steps(recipe, layout, others=())):
        return False
    chosen = _choices(recipe, layout)
    steps = (
        last_steps(recipe, layout, contender=contender, k=_k(contender, chosen)) for contender in recipe.contenders
    )
    return all(step.is_done for each in steps for step in each)


def count_steps(recipe: Recipe, layouts: Sequence[TaskLayout]) -> int:
    """Count all steps, done or not."""
    return sum(
        len(first_steps(recipe, layout, others=()))
        + sum(len(last_steps(recipe, layout, contender=contender, k=None)) for contender in recipe.contenders)
        for layout in layouts
    )


def result_of(
    name: str, text: str, *, recipe: Recipe, measured: Sequence[TaskReports], published: Published | None
) -> BenchResult:
    """Sum up."""
    tasks = []
    for each in measured:
        task = next(iter(each.means.values())).task
        scores = published_scores(published, task, split=recipe.split) if published else ()
        tasks.append(
            summarize(
                each.seeds,
                each.choices,
                baseline=_control(recipe),
                means=each.means,
                trainings=each.trainings,
                published=scores,
            )
        )
    return BenchResult(name, text, recipe.seeds, tuple(tasks), published.source if published else "")


def _control(recipe: Recipe) -> str | None:
    """Name what all are compared with: the first tuned prompt, by whatever label; else the bare language model."""
    labels = {contender.method: contender.name for contender in reversed(recipe.contenders)}
    return next((labels[method] for method in CONTROLS if method in labels), None)


def _record(recipe: Recipe, layout: TaskLayout) -> None:
    """Write down what everything is made of, before it is made."""
    record(layout.folder, lambda: task_parts(recipe, layout))
    for contender in recipe.contenders:
        record(layout.of(contender), partial(contender_parts, recipe, layout, contender=contender))


def _choices(recipe: Recipe, layout: TaskLayout) -> dict[str, KChoice]:
    """Choose the number of items of each contender that has any, by its name."""
    return {
        contender.name: choose_k(
            contender.name,
            layout.task.metrics[0],
            dev=_on_dev(recipe, layout, contender=contender),
            is_retrieval=contender.kind.is_retrieval,
        )
        for contender in recipe.contenders
        if contender.kind.items
    }


def _on_dev(recipe: Recipe, layout: TaskLayout, *, contender: Contender) -> dict[int, list[Report]]:
    return {
        k: [Report.read(layout.report(contender, seed, name="dev", k=k)) for seed in seeds_of(recipe, contender)]
        for k in recipe.numbers(contender)
    }


def _k(contender: Contender, chosen: Mapping[str, KChoice]) -> int | None:
    return chosen[contender.name].chosen.k if contender.name in chosen else None


def _measured(recipe: Recipe, layout: TaskLayout, *, chosen: Mapping[str, KChoice]) -> TaskReports:
    """Read all reports, named as their contenders are."""
    reports: dict[str, list[Report]] = {}
    trainings: dict[str, list[TrainingCost]] = {}
    for contender in recipe.contenders:
        k, seeds = _k(contender, chosen), seeds_of(recipe, contender)
        label = chosen[contender.name].label if contender.name in chosen else contender.name
        trainings[label] = [_training_cost(layout, contender, seed=seed, k=k) for seed in seeds]
        names: list[Measured] = [measured_as(recipe, contender)]
        names += ["stranger"] if recipe.strangers and contender.kind.meets_strangers else []
        for name in names:
            paths = [layout.report(contender, seed, name=name, k=k) for seed in seeds]
            named = [replace(Report.read(path), method=label) for path in paths]
            reports[named[0].label] = named
    return TaskReports(reports, averages(reports), trainings, tuple(chosen.values()))


def _training_cost(layout: TaskLayout, contender: Contender, *, seed: int | None, k: int | None) -> TrainingCost:
    path = layout.trained(contender, seed, k=k if contender.kind.is_trained_for_k else None)
    values = read_json(path) if path.exists() else {}
    return TrainingCost(values.get("seconds"), values.get("seconds_a_user"))


def write_if_changed(path: Path, text: str) -> None:
    """Leave a file alone that already says so."""
    if not path.exists() or path.read_bytes() != text.encode("utf-8", errors="backslashreplace"):
        write_text(path, text)
