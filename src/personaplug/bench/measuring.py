"""The steps of a bench that train nothing, as functions that a process of its own can do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

from personaplug.bench.json_files import write_json
from personaplug.bench.layout import Measured, TaskLayout
from personaplug.bench.recipe import Contender, Recipe
from personaplug.bench.run_configs import base_run, decoding_of, run_of
from personaplug.data.lamp import read_lamp
from personaplug.data.log import write_log
from personaplug.data.rows import OnBad, refuse
from personaplug.data.sample import SampleName, sample_log
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run_file import write_config
from personaplug.plug.run_folder import CONFIG
from personaplug.workflows.evaluate import evaluate
from personaplug.workflows.index import index
from personaplug.workflows.specs import MethodSpec, QuerySpec


def make_log(layout: TaskLayout) -> None:
    """Make the log of a sample, or of LaMP's files."""
    layout.folder.mkdir(parents=True, exist_ok=True)
    write_log(made_rows(layout, on_bad=layout.on_bad), layout.log)


def made_rows(layout: TaskLayout, *, on_bad: OnBad | None) -> Iterable[Mapping[str, str | None]]:
    """Give the rows of a sample, or of LaMP's files."""
    if layout.source.sample:
        return sample_log(cast(SampleName, layout.task.name), users=layout.source.sample, seed=0)
    return read_lamp(layout.given, layout.task.name, on_bad=on_bad or refuse)


def index_log(recipe: Recipe, layout: TaskLayout, *, reuse: Sequence[Path]) -> None:
    """Index the log; what stands in the stores of other tasks is not encoded again."""
    run = base_run(recipe, layout)
    counts = index(
        layout.log,
        layout.task_file,
        store_path=layout.store,
        encoder=run.encoder.model,
        published_views=run.published_views,
        reuse=[store for store in reuse if store.exists()],
        progress=layout.progress,
    )
    write_json(layout.indexed, counts)


def measure_contender(
    recipe: Recipe,
    layout: TaskLayout,
    *,
    contender: Contender,
    name: Measured,
    seed: int | None,
    k: int | None,
    on: Measured = "test",
) -> None:
    """Measure a contender and write its report."""
    method = method_spec(recipe, layout, contender=contender, seed=seed, k=k, on=on)
    if name == "dev" and not recipe.chooses_on_measured:
        method = replace(method, query_source=QuerySource.STORE)  # Its seconds are in no report.
    out = layout.report(contender, seed, name=name, k=k)
    queries = queries_of(recipe, name)
    evaluate(layout.log, layout.task_file, method=method, queries=queries, out=out, progress=layout.progress)


def method_spec(
    recipe: Recipe, layout: TaskLayout, *, contender: Contender, seed: int | None, k: int | None, on: Measured = "test"
) -> MethodSpec:
    """Say how a contender is built; of one that is not trained, write down what its run would be."""
    run = layout.run(contender, seed, k=k if contender.kind.is_trained_for_k else None, on=on)
    if seed is None:
        run.mkdir(parents=True, exist_ok=True)
        write_config(run_of(recipe, layout, contender=contender), run / CONFIG)
    return MethodSpec(
        contender.kind.command,
        QuerySource.ENCODER,
        run=run,
        store=layout.store if contender.kind.reads_vectors else None,
        k=k,
        profiles=layout.of(contender) / "profiles",
        decoding=asdict(decoding_of(recipe, base_run(recipe, layout))),
    )


def queries_of(recipe: Recipe, name: Measured) -> QuerySpec:
    """Say which queries a measurement is of."""
    return QuerySpec(
        split="dev" if name == "dev" else recipe.split,
        stranger=name == "stranger",
        limit=recipe.dev_queries if name == "dev" else recipe.test_queries or None,
        seed=recipe.draw,
        batch_size=recipe.batch_size,
    )
