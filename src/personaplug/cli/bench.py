"""``personaplug bench``: contenders on tasks over seeds, as a recipe says, in one report."""

from pathlib import Path

import click

from personaplug.cli.skipping import bad_rows, skipping


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
    thrown away. It is an error, which says what differs.
    """
    from personaplug.bench.bench import Bench
    from personaplug.cli.screen import Bars, notes, print_json, results
    from personaplug.reports.overview import overview
    from personaplug.reports.table import comparison_table, overview_table

    with bad_rows(skip_bad) as on_bad:
        checked = Bench.of(recipe_path, out, skips_bad=skip_bad, on_bad=on_bad, screen=Bars)
    if dry_run:
        for line in checked.plan():
            click.echo(line)
        return
    result = checked.run(tell=lambda line: click.echo(line, err=True))
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
