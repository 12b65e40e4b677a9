"""Everything that can be wrong with a recipe, looked at before any work."""

from collections.abc import Iterable
from pathlib import Path

from personaplug.cli.benchmark.kinds import is_retrieval, is_trained
from personaplug.cli.benchmark.made_of import check_made_of, contender_parts, task_parts
from personaplug.cli.benchmark.models import check_models, check_store
from personaplug.cli.benchmark.place import TaskPlace
from personaplug.cli.benchmark.recipe import Recipe, slug
from personaplug.cli.benchmark.run import is_finished
from personaplug.cli.benchmark.runs import AnyRun, base_run, run_of
from personaplug.cli.encoders import encoder_config
from personaplug.cli.screen import counted
from personaplug.cli.wiring import check_method
from personaplug.config import read_toml, read_values
from personaplug.data.lamp import read_lamp
from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.errors import ConfigError
from personaplug.plug.lora import import_peft
from personaplug.tasks.task import Split, load_task

SAMPLES = ("sample-tags", "sample-headlines")


def check(recipe: Recipe, *, beside: Path, out: Path) -> list[TaskPlace]:
    """Find the places of a recipe's tasks, or what is wrong with it.

    Args:
        recipe: The recipe.
        beside: The folder that its paths begin in.
        out: The bench's folder.

    Raises:
        PersonaPlugError: Something is wrong; it says what, where, and what to do.
    """
    for contender in recipe.contenders:
        check_method(contender.method)
        if contender.method == "user-lora":
            import_peft()
    places = _places(recipe, beside, out)
    for place in places:
        _check_settings(recipe, place)
        _check_source(place)
        _check_folders(recipe, place)
    for place in [place for place in places if not is_finished(recipe, place)]:
        check_models(recipe, place)
        if place.store.exists():
            check_store(recipe, place)
        elif place.source.log:
            _check_queries(recipe, place)
    return places


def _places(recipe: Recipe, beside: Path, out: Path) -> list[TaskPlace]:
    places: list[TaskPlace] = []
    for source in recipe.tasks:
        file = str(beside / source.task) if source.task.endswith(".toml") else source.task
        task = load_task(file)
        folder = out / slug(task.name)
        given = beside / (source.log or source.lamp)
        if any(place.folder == folder for place in places):
            raise ConfigError(f"the task {task.name!r} stands twice in the recipe", hint="one bench a log")
        places.append(TaskPlace(source, task, file, given, folder))
    return places


def _check_settings(recipe: Recipe, place: TaskPlace) -> None:
    """Make every run, so that a setting that does not fit shows."""
    encoder = base_run(recipe, place).encoder
    if encoder != encoder_config(encoder.model):
        raise ConfigError("a recipe cannot set parts of the encoder", hint='name one: encoder = "minilm"')
    for contender in recipe.contenders:
        run = run_of(recipe, place, contender, k=recipe.k[0])
        if getattr(run, "encoder", encoder) != encoder or run.backbone != base_run(recipe, place).backbone:
            raise ConfigError(
                f"{contender.name!r} would have another encoder or language model than the others",
                hint="set encoder and backbone for the whole recipe, or write another recipe",
            )


def _check_source(place: TaskPlace) -> None:
    source, name = place.source, place.task.name
    if source.sample and name not in SAMPLES:
        raise ConfigError(f"there is no sample for the task {name!r}", hint=f"samples: {', '.join(SAMPLES)}")
    if source.lamp:
        next(read_lamp(place.given, name), None)
    if source.log and not place.given.is_file():
        raise ConfigError(
            f"{place.given}: there is no such log, which the recipe names for {name!r}",
            hint="logs are paths from the recipe's folder; make one with: personaplug data import",
        )


def _check_folders(recipe: Recipe, place: TaskPlace) -> None:
    check_made_of(place.folder, task_parts(recipe, place))
    for contender in recipe.contenders:
        check_made_of(place.of(contender), contender_parts(recipe, place, contender))
        for seed in recipe.seeds if is_trained(contender.method) else ():
            _check_run(place.run(contender, seed), run_of(recipe, place, contender, seed=seed))


def _check_run(folder: Path, wanted: AnyRun) -> None:
    """Refuse a run folder that holds another method, encoder or language model."""
    if not (folder / "config.toml").exists():
        return
    held = read_values(folder / "config.toml").get("method")
    if held != wanted.method:
        raise ConfigError(f"{folder} holds a {held}, not a {wanted.method}", hint=f"delete {folder}")
    found = read_toml(type(wanted), folder / "config.toml")
    for part in ("encoder", "backbone"):
        ours, theirs = (getattr(getattr(run, part, None), "model", None) for run in (wanted, found))
        if ours != theirs:
            raise ConfigError(
                f"{folder} is a run of the {part} {theirs!r}, the recipe has {ours!r}",
                hint=f"give another --out, put the recipe back, or delete {folder} to train anew",
            )


def _check_queries(recipe: Recipe, place: TaskPlace) -> None:
    """Read the log once through, and count what it leaves to train and to measure."""
    rows = list(counted(read_log(place.log, place.task), f"check {place.log.name}"))
    for split in _splits(recipe):
        examples = split_examples(rows, place.task, split)
        if not any(query.has_output for query in examples.queries):
            raise ConfigError(
                f"{place.log} has no query with a known answer in the split {split!r} of {place.task.name!r}",
                hint=f"personaplug data audit {place.log} --task {place.task_file}",
            )
        if recipe.strangers and split == recipe.split and len(examples.profiles) == 1:
            raise ConfigError(f"{place.log} has one user in the split {split!r}: no stranger", hint="strangers = false")


def _splits(recipe: Recipe) -> Iterable[Split]:
    methods = [contender.method for contender in recipe.contenders]
    if any(is_trained(method) and method != "user-lora" for method in methods):
        yield "train"
    if any(map(is_retrieval, methods)) and recipe.split != "dev":
        yield "dev"
    yield recipe.split
