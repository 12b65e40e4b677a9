"""``--skip-bad``: what becomes of a row that cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from personaplug.data.rows import OnBad

skipping = click.option("--skip-bad", is_flag=True, help="Leave out rows that cannot be read; count and list them.")


@contextmanager
def bad_rows(skip_bad: bool) -> Iterator["OnBad"]:
    """Give what to do with a bad row (without --skip-bad, stop there); at the end tell on stderr what was left out."""
    from personaplug.cli.launched import speaks
    from personaplug.cli.screen import printable
    from personaplug.data.log import SkippedRows
    from personaplug.data.rows import refuse

    skipped = SkippedRows()
    try:
        yield skipped if skip_bad else refuse
    finally:
        for error in skipped.first if speaks() else ():
            click.echo(f"  {printable(str(error))}", err=True)
        if skipped.count and speaks():
            more = f"; the first {len(skipped.first)} stand above" if skipped.count > len(skipped.first) else ""
            click.echo(f"Left out {skipped.count:,} bad rows{more}.", err=True)
