"""``personaplug data``: make a log from what there is, and look for faults in one."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from personaplug.cli.options import LOG
from personaplug.cli.skipping import bad_rows, skipping

if TYPE_CHECKING:
    from personaplug.data.audit import Audit
    from personaplug.data.log_url import LogAddress
    from personaplug.data.sample import SampleName

Command = Callable[..., None]

SAMPLES = click.Choice(["sample-tags", "sample-headlines"])
to_log = click.option("--out", type=click.Path(path_type=Path), required=True, help="The log: .jsonl or .jsonl.gz.")


@click.group()
def data() -> None:
    """Make an interaction log, and look for faults in one.

    \b
    Examples:
      personaplug data import git ~/src/git --out git.jsonl
      personaplug data audit git.jsonl --task git-subject
    """


@data.group("import")
def import_() -> None:
    """Make a log: a row for each thing a user did.

    \b
    Examples:
      personaplug data import log ratings.csv --task my-task.toml --out ratings.jsonl
      personaplug data import lamp LaMP_3/ --task lamp-3 --out lamp-3.jsonl.gz
      personaplug data import git ~/src/git --since 2015-01-01 --out git.jsonl
      personaplug data import mbox Sent.mbox --address ada@example.org --out mail.jsonl
      personaplug data import sample sample-tags --out sample.jsonl
    """


@import_.command("log")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--task", "task_name", required=True, help="Whose columns to check: a built-in task or a .toml file.")
@to_log
@skipping
def import_log(source: Path, task_name: str, out: Path, skip_bad: bool) -> None:
    """Check a log and write it as JSON Lines.

    SOURCE is a .jsonl, .csv or .parquet file, each also .gz, with the columns user_id, time and those the task names.
    Times are ISO 8601 or counts since 1970. A time or user that is doubtful is refused, with what it may be.

    \b
    Example:
      personaplug data import log ratings.csv --task log --out ratings.jsonl
    """
    from personaplug.data.log import read_plain
    from personaplug.tasks.task import load_task

    with bad_rows(skip_bad) as on_bad:
        _write(read_plain(source, load_task(task_name), on_bad=on_bad), out)


@import_.command("lamp")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--task", "task_name", required=True, help="lamp-1 to lamp-7.")
@to_log
@skipping
def import_lamp(source: Path, task_name: str, out: Path, skip_bad: bool) -> None:
    """Read the files of the LaMP benchmark.

    SOURCE is a folder with train, dev and test questions, or one question file; outputs lie beside the questions.

    \b
    Example:
      personaplug data import lamp LaMP_3/ --task lamp-3 --out lamp-3.jsonl.gz
    """
    from personaplug.data.lamp import read_lamp

    with bad_rows(skip_bad) as on_bad, _left_out("profile items") as on_skip:
        _write(read_lamp(source, task_name, on_bad=on_bad, on_skip=on_skip), out)


@import_.command("git")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--since", help="Leave out commits written before this day or time (ISO 8601).")
@to_log
def import_git(source: Path, since: str | None, out: Path) -> None:
    """Read the commits of a git repository.

    The log serves the tasks git-subject and git-opening. Merges and commits without a body are left out; authors become
    pseudonyms of their addresses, or of their names where they have none.

    \b
    Example:
      personaplug data import git ~/src/git --since 2015-01-01 --out git.jsonl
    """
    from personaplug.data.git_history import read_git
    from personaplug.data.times import parse_time

    try:
        start = parse_time(since) if since else None
    except ValueError as error:
        raise click.BadParameter(f"{since!r}: {error}", param_hint="--since") from error
    with _left_out("commits") as on_skip:
        _write(read_git(source, since=start, on_skip=on_skip), out)


@import_.command("mbox")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--address", "addresses", multiple=True, help="Keep mail sent from here; repeatable. Default: all senders."
)
@to_log
def import_mbox(source: Path, addresses: tuple[str, ...], out: Path) -> None:
    """Read the sent mail of an mbox file, plain or .gz.

    The log serves the task mail-subject. Senders become pseudonyms. Quotations, signatures and attachments are left
    out, and so are mails without plain text, or whose sender a mailing list hides.

    \b
    Example:
      personaplug data import mbox Sent.mbox --address ada@example.org --out mail.jsonl
    """
    from personaplug.data.mbox import read_mbox

    with _left_out("mails") as on_skip:
        _write(read_mbox(source, addresses=addresses, on_skip=on_skip), out)


@import_.command("sample")
@click.argument("source", type=SAMPLES, required=False)
@click.option("--task", "task_name", type=SAMPLES, help="The same as SOURCE.")
@click.option("--users", type=click.IntRange(1), default=300, show_default=True, help="How many users to make up.")
@click.option("--seed", type=int, default=0, show_default=True, help="Equal seeds give equal logs.")
@to_log
def import_sample(
    source: "SampleName | None", task_name: "SampleName | None", users: int, seed: int, out: Path
) -> None:
    """Make up a log of users with hidden tastes.

    SOURCE is sample-tags or sample-headlines.

    \b
    Example:
      personaplug data import sample sample-tags --users 100 --out sample.jsonl
    """
    from personaplug.data.sample import sample_log

    if source and task_name and source != task_name:
        raise click.UsageError(f"SOURCE is {source} and --task is {task_name}")
    if not (name := source or task_name):
        raise click.UsageError("say which sample: sample-tags or sample-headlines")
    _write(sample_log(name, users=users, seed=seed), out)


@data.command("audit")
@click.argument("log", type=LOG, metavar="LOG")
@click.option("--task", "task_name", required=True, help="A built-in task or a .toml file.")
@click.option("--json", "as_json", is_flag=True, help="Write the counts as JSON.")
@skipping
def audit_log(log: "LogAddress", task_name: str, as_json: bool, skip_bad: bool) -> None:
    """Count what a log holds and what leaks.

    Shows rows, users, history lengths, duplicates, and what a test query could know from its history or from train. LOG
    is a file or, of Parquet, a folder of files or an address such as s3://bucket/log.

    \b
    Example:
      personaplug data audit git.jsonl --task git-subject
    """
    from personaplug.cli.screen import counted, print_json
    from personaplug.data.audit import audit
    from personaplug.data.log import read_log
    from personaplug.tasks.task import load_task

    task = load_task(task_name)
    with bad_rows(skip_bad) as on_bad:
        found = audit(counted(read_log(log, task, on_bad=on_bad), "read"), task)
    if as_json:
        print_json(found)
    else:
        _show(found)


def _write(rows: Iterator[Mapping[str, str | None]], out: Path) -> None:
    from personaplug.cli.screen import counted
    from personaplug.data.log import write_log

    count = write_log(counted(rows, "rows"), out)
    click.echo(f"{out}: {count:,} rows")


@contextmanager
def _left_out(things: str) -> Iterator[Callable[[str], None]]:
    reasons: Counter[str] = Counter()
    try:
        yield lambda reason: reasons.update([reason])
    finally:
        for reason, count in reasons.most_common():
            click.echo(f"Left out {count:,} {things} {reason}.", err=True)


def _show(found: "Audit") -> None:
    from rich.table import Table
    from rich.text import Text

    from personaplug.cli.screen import results

    whole = Table("", "count", title=Text(f"The log, as task {found.task} sees it"), title_justify="left")
    for name in fields(found):
        if name.name not in ("task", "splits"):
            whole.add_row(name.name.replace("_", " "), _cell(getattr(found, name.name)))
    splits = Table("", *(each.split for each in found.splits), title="Its splits", title_justify="left")
    for name in fields(found.splits[0])[1:]:
        splits.add_row(name.name.replace("_", " "), *(_cell(getattr(each, name.name)) for each in found.splits))
    results().print(whole)
    results().print(splits)


def _cell(value: object) -> str:
    from personaplug.data.audit import Lengths

    if isinstance(value, Lengths):
        return f"min {value.min}\nmedian {value.median:g}\nmean {value.mean:.1f}\np90 {value.p90}\nmax {value.max}"
    return f"{value:,}" if isinstance(value, int) else str(value)
