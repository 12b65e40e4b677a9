"""``personaplug bench``: contenders on tasks over seeds, as a recipe says, in one report."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from personaplug.cli.skipping import bad_rows, skipping

if TYPE_CHECKING:
    from personaplug.bench.layout import TaskLayout
    from personaplug.bench.recipe import Recipe
    from personaplug.evaluation.bench import BenchResult


@click.command(
    epilog="""\b
Examples:
  personaplug bench benchmarks/sample.toml --out build/sample
  personaplug bench benchmarks/real_logs.toml --out build/real-logs --json

\b
A recipe, beside its logs:
  methods = ["plain", "tuned-prompt", "bm25", "plug"]
  seeds = [0, 1]
  train_queries = 4800
  test_queries = 500
  settings = ["training.epochs=1"]
  [[tasks]]
  task = "log"
  log = "log.jsonl"
"""
)
@click.argument("recipe_path", metavar="RECIPE.toml", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for all that is made."
)
@click.option("--dry-run", is_flag=True, help="Look at the whole recipe, count its steps, and do none.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
@skipping
def bench(recipe_path: Path, out: Path, dry_run: bool, as_json: bool, skip_bad: bool) -> None:
    """Run a recipe: tasks by methods by seeds, in one report with intervals, paired tests, costs and pictures.

    Looks at the whole recipe first, then does what is not done yet: index, train, choose k on dev, measure. Interrupt
    it whenever you like: the same command goes on from there. What was made with other settings is never mixed in, nor
    thrown away: it is an error that says what differs.
    """
    from personaplug.cli.screen import notes, print_json, results
    from personaplug.reports.overview import overview
    from personaplug.reports.table import comparison_table, overview_table

    if dry_run:
        for line in planned(recipe_path, out, skip_bad=skip_bad):
            click.echo(line)
        return
    result = run_recipe(recipe_path, out, skip_bad=skip_bad)
    if as_json:
        print_json(result)
        return
    for task in result.tasks:
        results().print(comparison_table(task.comparison))
    if shown := overview(result.tasks):
        results().print(overview_table(shown))
    notes().print("The whole report, with pictures:", highlight=False)
    for name in ("report.html", "report.md", "report.json"):
        click.echo(str(out / name))


def planned(recipe_path: Path, out: Path, *, skip_bad: bool = False) -> list[str]:
    """Check a recipe as a run of it does, and say what each of its tasks asks for."""
    from personaplug.bench.runner import count_steps, is_finished

    recipe, layouts = _checked(recipe_path, out, skip_bad=skip_bad)
    return [
        f"{layout.task.name}: {count_steps(recipe, [layout])} steps, "
        f"{'all done' if is_finished(recipe, layout) else 'not all done'}"
        for layout in layouts
    ]


def run_recipe(recipe_path: Path, out: Path, *, skip_bad: bool = False) -> "BenchResult":
    """Do what a recipe asks for and is not done, and write ``report.json``, ``.md`` and ``.html``."""
    import json

    from personaplug.bench.json_files import plain
    from personaplug.bench.lock import alone_in
    from personaplug.bench.runner import do_all, result_of, write_if_changed
    from personaplug.evaluation.published import read_published
    from personaplug.reports.bench_markdown import bench_markdown
    from personaplug.reports.bench_page import bench_html

    recipe, layouts = _checked(recipe_path, out, skip_bad=skip_bad)
    published = read_published(recipe_path.parent / recipe.published) if recipe.published else None
    with alone_in(out):
        measured = do_all(recipe, layouts, tell=lambda line: click.echo(line, err=True))
        text = recipe_path.read_text(encoding="utf-8")
        result = result_of(recipe_path.stem, text, recipe=recipe, measured=measured, published=published)
        for name, content in (
            ("report.json", json.dumps(plain(result), ensure_ascii=False, indent=1) + "\n"),
            ("report.md", bench_markdown(result)),
            ("report.html", bench_html(result, [each.means for each in measured])),
        ):
            write_if_changed(out / name, content)
    return result


def _checked(recipe_path: Path, out: Path, *, skip_bad: bool) -> "tuple[Recipe, list[TaskLayout]]":
    """Read a recipe, and refuse one that could not be run."""
    from personaplug.bench.checks import check
    from personaplug.bench.recipe import read_recipe
    from personaplug.cli.screen import Bars

    recipe = read_recipe(recipe_path)
    with bad_rows(skip_bad) as on_bad:
        return recipe, check(recipe, beside=recipe_path.parent, out=out, skips_bad=skip_bad, on_bad=on_bad, screen=Bars)
