"""``personaplug compare``: reports in one table."""

from pathlib import Path

import click

from personaplug.method_kinds import CONTROLS


@click.command(
    epilog="""\b
Examples:
  personaplug compare reports/*.json
  personaplug compare plain.json tuned-lora.json plug.json stranger.json --html report.html
  personaplug compare bm25.json plug.json --baseline "bm25, k=4" --markdown table.md
"""
)
@click.argument("paths", metavar="REPORT.json...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    help=f"The method that all differences are to; by default the first that is there of {', '.join(CONTROLS)}.",
)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with pictures.")
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write the table as Markdown.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the answers that the page shows.")
@click.option("--json", "as_json", is_flag=True, help="Write the comparison as JSON.")
def compare(
    paths: tuple[Path, ...], baseline: str | None, html: Path | None, markdown: Path | None, seed: int, as_json: bool
) -> None:
    """Compare reports in one table, with paired tests.

    All reports must be of the same task, split and queries. Where a method was measured with strangers'
    histories too, the last lines of each metric tell what of its score comes from the person.
    """
    from personaplug.cli.screen import print_json, results
    from personaplug.evaluation.comparison import compare as compare_reports
    from personaplug.evaluation.comparison import label_reports
    from personaplug.evaluation.report import Report
    from personaplug.files import write_text
    from personaplug.reports.markdown import to_markdown
    from personaplug.reports.table import comparison_table

    reports = label_reports({path: Report.read(path) for path in paths})
    comparison = compare_reports(reports, baseline=baseline)
    texts = {markdown: to_markdown(comparison)} if markdown else {}
    if html:
        from personaplug.reports.page import to_html

        texts = {html: to_html(comparison, reports, seed=seed), **texts}
    for path, text in texts.items():
        write_text(path, text)
    if as_json:
        print_json(comparison)
    else:
        results().print(comparison_table(comparison))
    for written in filter(None, (html, markdown)):
        click.echo(f"written: {written}", err=as_json)
