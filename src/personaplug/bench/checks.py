"""Everything that can be wrong with a recipe, looked at before any work."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import get_args

from personaplug.bench.layout import TaskLayout
from personaplug.bench.measuring import made_rows
from personaplug.bench.model_checks import check_models, check_store
from personaplug.bench.provenance import check_provenance, contender_parts, task_parts
from personaplug.bench.recipe import Contender, Recipe, slug
from personaplug.bench.reserved_settings import check_reserved
from personaplug.bench.run_configs import base_run, run_of
from personaplug.bench.runner import is_finished
from personaplug.data.lamp import read_lamp
from personaplug.data.log import Interaction, read_given, read_log
from personaplug.data.rows import OnBad, refuse
from personaplug.data.sample import SampleName
from personaplug.data.split import split_examples
from personaplug.errors import ConfigError, DataError
from personaplug.method_kinds import kind_of
from personaplug.plug.encoders import encoder_config
from personaplug.plug.run import PRESETS
from personaplug.plug.run_file import is_same_model, read_config
from personaplug.plug.run_folder import CONFIG, holds_run, method_of
from personaplug.rivals.user_lora.adapters import import_peft
from personaplug.rivals.user_lora.run import UserLoraConfig
from personaplug.tasks.task import Split, load_task
from personaplug.workflows.progress import Progress, Silence, counted
from personaplug.workflows.run_kinds import AnyRun


def check(
    recipe: Recipe,
    *,
    beside: Path,
    out: Path,
    skips_bad: bool = False,
    on_bad: OnBad | None = None,
    screen: Callable[[OnBad], Progress] = Silence,
) -> list[TaskLayout]:
    """Lay out a recipe's tasks, or find what is wrong with it.

    Args:
        recipe: The recipe.
        beside: The folder that its paths begin in.
        out: The bench's folder.
        skips_bad: Whether rows that cannot be read are left out.
        on_bad: Told of each such row.
        screen: Makes what shows how far the check and each step is.

    Raises:
        PersonaPlugError: Something is wrong; it says what, where, and what to do.
    """
    for contender in recipe.contenders:
        _check_method(contender.method)
    check_reserved(recipe)
    layouts = _layouts(recipe, beside, out=out, skips_bad=skips_bad, screen=screen)
    for layout in layouts:
        _check_settings(recipe, layout)
        _check_source(layout)
        _check_folders(recipe, layout)
    for layout in [layout for layout in layouts if not is_finished(recipe, layout)]:
        check_models(recipe, layout)
        if layout.store.exists():
            check_store(recipe, layout)
        else:
            _check_queries(recipe, layout, on_bad=on_bad)
    return layouts


def _check_method(method: str) -> None:
    if kind_of(method).is_per_user:
        import_peft()


def _layouts(
    recipe: Recipe, beside: Path, *, out: Path, skips_bad: bool, screen: Callable[[OnBad], Progress]
) -> list[TaskLayout]:
    layouts: list[TaskLayout] = []
    for source in recipe.tasks:
        file = str(beside / source.task) if source.task.endswith(".toml") else source.task
        task = PRESETS[recipe.preset].form_of(load_task(file))
        folder = out / slug(task.name)
        given = folder / "log.jsonl" if source.sample else beside / (source.log or source.lamp)
        if any(layout.folder == folder for layout in layouts):
            raise ConfigError(f"the task {task.name!r} stands twice in the recipe", hint="one bench a log")
        layouts.append(TaskLayout(source, task, file, given, folder, skips_bad, screen))
    return layouts


def _check_settings(recipe: Recipe, layout: TaskLayout) -> None:
    """Make every run, so that a setting that does not fit shows."""
    encoder = base_run(recipe, layout).encoder
    if encoder != encoder_config(encoder.model):
        raise ConfigError("a recipe cannot set parts of the encoder", hint='name one: encoder = "minilm"')
    for contender in recipe.contenders:
        run_of(recipe, layout, contender=contender, k=recipe.numbers(contender)[0])


def _check_source(layout: TaskLayout) -> None:
    source, name = layout.source, layout.task.name
    if source.sample and name not in get_args(SampleName):
        samples = ", ".join(get_args(SampleName))
        raise ConfigError(f"there is no sample for the task {name!r}", hint=f"samples: {samples}")
    if source.lamp:
        next(read_lamp(layout.given, name, on_bad=_later), None)
    if source.log and not layout.given.is_file():
        raise ConfigError(
            f"{layout.given}: there is no such log, which the recipe names for {name!r}",
            hint="logs are paths from the recipe's folder; make one with: personaplug data import",
        )


def _later(_: DataError) -> None:
    """Leave a bad question to the reading of them all."""


def _check_folders(recipe: Recipe, layout: TaskLayout) -> None:
    check_provenance(layout.folder, task_parts(recipe, layout))
    for contender in recipe.contenders:
        check_provenance(layout.of(contender), contender_parts(recipe, layout, contender=contender))
        for seed in recipe.seeds if contender.kind.learns else ():
            for k in recipe.numbers(contender) if contender.kind.is_trained_for_k else (None,):
                _check_run(
                    layout.run(contender, seed, k=k), run_of(recipe, layout, contender=contender, seed=seed, k=k)
                )


def _check_run(folder: Path, wanted: AnyRun) -> None:
    """Refuse a run folder that holds another method, encoder or language model."""
    if not holds_run(folder):
        return
    held = method_of(folder)
    if held != wanted.method:
        raise ConfigError(f"{folder} holds a {held}, not a {wanted.method}", hint=f"delete {folder}")
    found = read_config(type(wanted), folder / CONFIG)
    for part in ("encoder", "backbone"):
        ours, theirs = (getattr(getattr(run, part, None), "model", "") for run in (wanted, found))
        if not is_same_model(ours, theirs):
            raise ConfigError(
                f"{folder} is a run of the {part} {theirs!r}, the recipe has {ours!r}",
                hint=f"give another --out, put the recipe back, or delete {folder} to train anew",
            )


def _check_queries(recipe: Recipe, layout: TaskLayout, *, on_bad: OnBad | None) -> None:
    """Read what the log is, or will be made of, once through, and count what it leaves to train and to measure."""
    rows = list(
        counted(_interactions(layout, on_bad), f"check {layout.log.name}", progress=layout.screen(on_bad or refuse))
    )
    for split in dict.fromkeys(_splits(recipe, layout)):
        examples = split_examples(rows, layout.task, split=split)
        if not any(query.has_output for query in examples.queries):
            raise ConfigError(
                f"{layout.task.name!r} has no query with a known answer in the split {split!r} of {_source(layout)}",
                hint='the answers to LaMP\'s test are not public: split = "dev"'
                if layout.source.lamp
                else f"personaplug data audit {layout.log} --task {layout.task_file}",
            )
        if _wants_strangers(recipe) and split == recipe.split and len(examples.profiles) == 1:
            raise ConfigError(
                f"{_source(layout)} has one user in the split {split!r}: no stranger", hint="strangers = false"
            )


def _interactions(layout: TaskLayout, on_bad: OnBad | None) -> Iterator[Interaction]:
    if layout.log.exists():
        return read_log(layout.log, layout.task, on_bad=on_bad)
    return read_given(made_rows(layout, on_bad=on_bad), layout.task, source=layout.given, on_bad=on_bad)


def _source(layout: TaskLayout) -> str:
    return f"a sample of {layout.source.sample} users" if layout.source.sample else str(layout.given)


def _wants_strangers(recipe: Recipe) -> bool:
    return recipe.strangers and any(contender.kind.meets_strangers for contender in recipe.contenders)


def _splits(recipe: Recipe, layout: TaskLayout) -> Iterable[Split]:
    if any(_learns_from_train(recipe, layout, contender=each) for each in recipe.contenders):
        yield "train"
    if any(each.kind.items for each in recipe.contenders):
        yield "dev"
    yield recipe.split


def _learns_from_train(recipe: Recipe, layout: TaskLayout, *, contender: Contender) -> bool:
    if not contender.kind.is_per_user:
        return contender.kind.learns is not None
    run = run_of(recipe, layout, contender=contender, k=recipe.numbers(contender)[0])
    return isinstance(run, UserLoraConfig) and run.adaptation.epochs > 0
