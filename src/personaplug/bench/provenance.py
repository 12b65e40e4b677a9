"""What a task's folder and a contender's were made of, so that nothing made of something else is taken for theirs."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from personaplug.bench.json_files import plain, write_json
from personaplug.bench.layout import TaskLayout
from personaplug.bench.recipe import Contender, Recipe
from personaplug.bench.run_configs import base_run, decoding_of, run_of
from personaplug.embedder.encoder import EncoderConfig
from personaplug.errors import ConfigError
from personaplug.method_kinds import kind_of
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import BEFORE
from personaplug.tasks.task import Columns, HistoryRules, QueryRules, Retrieval
from personaplug.workflows.run_kinds import presets_of

FILE = "made_of.json"
_BLOCK = 1 << 20


def task_parts(recipe: Recipe, layout: TaskLayout) -> dict[str, Any]:
    """List what decides all measurements on a task, but for the contenders."""
    return {
        "task": _without_forms(asdict(layout.task)),
        "log": f"a sample of {layout.source.sample} users" if layout.source.sample else digest_of(layout.given),
        "encoder": asdict(base_run(recipe, layout).encoder),
    }


def contender_parts(recipe: Recipe, layout: TaskLayout, *, contender: Contender) -> dict[str, Any]:
    """List what decides a contender's measurements, but for seeds and number of items, which its files are named by."""
    parts = {
        "method": contender.method,
        "run": _run_parts(recipe, layout, contender=contender),
        "decoding": asdict(decoding_of(recipe, base_run(recipe, layout))),
        **{name: getattr(recipe, name) for name in ("split", "test_queries", "draw")},
    }
    if contender.kind.learns or contender.kind.items:
        parts["dev_queries"] = recipe.dev_queries
    if contender.kind.learns == "selector":
        parts["trained retrievers"] = [each.name for each in recipe.contenders if each.kind.learns == "ranker"]
    return parts


def _run_parts(recipe: Recipe, layout: TaskLayout, *, contender: Contender) -> dict[str, Any]:
    """List what decides a run; of a contender that is not trained, the language model and how much it reads."""
    run = replace(run_of(recipe, layout, contender=contender, k=recipe.numbers(contender)[0]), task=layout.task.name)
    if isinstance(run, RunConfig) and not contender.kind.learns:
        limits = {name: getattr(run.training, name) for name in ("max_input_tokens", "max_output_tokens")}
        parts = {"encoder": asdict(run.encoder), "backbone": asdict(run.backbone), "training": limits}
        return parts | ({"items": {"item_tokens": run.items.item_tokens}} if contender.kind.shows_items else {})
    parts = _without_forms(asdict(run))
    for part in ("items", "selection"):
        if part in parts:
            del parts[part]["k"]
    return parts


def _without_forms(parts: dict[str, Any]) -> dict[str, Any]:
    """Leave out which forms of a task there are: the one that is read stands in the task's views."""
    return {name: part for name, part in parts.items() if name != "published_views"}


def check_provenance(folder: Path, parts: dict[str, Any]) -> None:
    """Refuse a folder that was made of something else.

    Raises:
        ConfigError: It was, or its record is broken.
    """
    path = folder / FILE
    if not path.exists():
        return
    try:
        held = dict(_leaves(json.loads(path.read_text(encoding="utf-8"))))
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: not what a bench has written: {error}", hint=f"delete {folder}") from error
    wanted = dict(_leaves(plain(parts)))
    held = dict(_leaves(plain(_unsaid(parts)))) | held  # what a run had before it could be set
    for name in wanted:  # what else the record holds decides nothing any more
        if held.get(name) != wanted.get(name):
            raise ConfigError(
                f"{folder} was made with {name} {_shown(held.get(name))}, the recipe has {_shown(wanted.get(name))}",
                hint=f"give another --out, put the recipe back, or delete {folder} to do it anew",
            )


def record(folder: Path, parts: Callable[[], dict[str, Any]]) -> None:
    """Write down what a folder is made of, where that is not done."""
    if not (folder / FILE).exists():
        write_json(folder / FILE, parts())


def digest_of(path: Path) -> str:
    """Tell a log's content, or that of a folder of JSON files, from all others."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        with file.open("rb") as content:
            while block := content.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:16]


def _unsaid(parts: dict[str, Any]) -> dict[str, Any]:
    """Give the settings that a record may be too old to know: each did what its default does, or what it did before."""
    if "method" not in parts:
        rules = {"columns": Columns(), "query": QueryRules(), "retrieval": Retrieval(), "history": HistoryRules()}
        return {"task": {name: plain(rule) for name, rule in rules.items()}, "encoder": asdict(EncoderConfig())}
    run = asdict(presets_of(kind_of(parts["method"]))["default"])
    if "embedder" in run:
        run |= {name: run[name] | before for name, before in BEFORE.items()}
        run["training"]["precision"] = "float32"  # of every training of before one could say
    return {"run": run}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, object]]:  # noqa: ANN401 (as parsed from JSON)
    for name, content in value.items():
        if isinstance(content, dict):
            yield from _leaves(content, f"{path}{name}.")
        else:
            yield f"{path}{name}", content


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
