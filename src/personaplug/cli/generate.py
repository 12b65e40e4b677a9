"""``personaplug generate``: answer in the way of one user, or of many."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from personaplug.cli.options import STORE, UTF8_TEXT, decoding_options

if TYPE_CHECKING:
    from personaplug.backbone.base import GenerationConfig
    from personaplug.plug.model import PersonaPlug
    from personaplug.store.address import Address


@dataclass(frozen=True, slots=True)
class UserInput:
    """What to answer, and in whose way."""

    user: str
    text: str


@click.command()
@click.argument("text", type=UTF8_TEXT, required=False)
@click.option("--run", type=click.Path(path_type=Path), required=True, help="Folder of a trained plug.")
@click.option("--store", type=STORE, help="The users' histories; by default the run's own index.")
@click.option(
    "--user", type=UTF8_TEXT, help="Whose way to answer in; an unknown user is answered as one without items."
)
@click.option(
    "--jsonl", type=click.File("rb"), help='Many questions, a line each: {"user": ..., "text": ...}; - reads stdin.'
)
@click.option("--no-persona", is_flag=True, help="The bare language model, for comparison.")
@click.option("--stream", is_flag=True, help="Show the answer as it grows; one question only.")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True, help="Questions answered at once.")
@click.option("--seed", type=int, default=0, show_default=True, help="For sampling.")
@click.option("--json", "as_json", is_flag=True, help="Write the answer as a line of JSON, as --jsonl always does.")
@decoding_options
def generate(
    text: str | None,
    run: Path,
    store: "Address | None",
    user: str | None,
    jsonl: IO[bytes] | None,
    no_persona: bool,
    stream: bool,
    batch_size: int,
    as_json: bool,
    **decoding: float | str | None,
) -> None:
    """Answer TEXT in the way of a user, or a file of questions of many users in mixed batches.

    \b
    Examples:
      personaplug generate --run runs/log --user ada "What shall I call this?"
      personaplug generate --run runs/log --jsonl questions.jsonl > answers.jsonl
    """
    from personaplug.cli.screen import printable_lines
    from personaplug.plug.run import decoding_of
    from personaplug.workflows.methods import check_room, open_run

    if (text is None) == (jsonl is None) or (text is None) != (user is None):
        raise click.UsageError("give TEXT with --user, or --jsonl with a file of questions")
    own = decoding_of(run)
    given: dict[str, Any] = {name: value for name, value in decoding.items() if value is not None}
    config = replace(own, **given)
    if stream and (jsonl is not None or as_json or config.strategy == "beam"):
        raise click.UsageError("--stream goes with one TEXT, and with neither beams (--strategy greedy) nor --json")
    with open_run(run, store) as plug:
        check_room(plug, config)
        if jsonl is not None:
            _answer_all(_questions(jsonl), plug, config=config, batch_size=batch_size, with_persona=not no_persona)
        elif stream:
            _stream(UserInput(str(user), str(text)), plug, config=config, with_persona=not no_persona)
        else:
            question = UserInput(str(user), str(text))
            answer = plug.generate(question.text, user=question.user, config=config, with_persona=not no_persona)
            click.echo(_as_json(question, answer) if as_json else printable_lines(answer))


def _stream(question: UserInput, plug: "PersonaPlug", *, config: "GenerationConfig", with_persona: bool) -> None:
    from personaplug.cli.screen import printable_lines

    for piece in plug.stream(question.text, user=question.user, config=config, with_persona=with_persona):
        click.echo(printable_lines(piece), nl=False)
    click.echo()


def _answer_all(
    questions: Iterator[UserInput],
    plug: "PersonaPlug",
    *,
    config: "GenerationConfig",
    batch_size: int,
    with_persona: bool,
) -> None:
    """Write a line of JSON for each question, with a bar on stderr unless the answers themselves show how far it is."""
    from personaplug.cli.screen import progress

    done = 0
    with nullcontext() if sys.stdout.isatty() else progress("generate") as advance:
        for batch in filter(None, _batches(questions, batch_size)):
            examples = [plug.example(question.text, user=question.user) for question in batch]
            answers = plug.respond(examples, config, with_persona=with_persona)
            for question, answer in zip(batch, answers, strict=True):
                click.echo(_as_json(question, answer))
            done += len(batch)
            if advance:
                advance(done)


def _as_json(question: UserInput, answer: str) -> str:
    from personaplug.cli.screen import as_json

    return as_json({"user": question.user, "text": question.text, "answer": answer})


def _questions(lines: Iterable[bytes]) -> Iterator[UserInput]:
    from personaplug.errors import DataError

    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            question = _question(line)
        except ValueError as error:
            hint = 'each line is like {"user": "ada", "text": "..."}'
            name = getattr(lines, "name", "-")
            raise DataError(f"not a question: {error}", path=name, line=number, hint=hint) from error
        yield question


def _batches(questions: Iterator[UserInput], size: int) -> Iterator[list[UserInput]]:
    """Cut questions into batches; those before a broken line are answered before the error is shown."""
    from personaplug.errors import DataError

    batch: list[UserInput] = []
    try:
        for question in questions:
            batch.append(question)
            if len(batch) == size:
                yield batch
                batch = []
    except DataError:
        yield batch
        raise
    yield batch


def _question(line: bytes) -> UserInput:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError(f"a {type(values).__name__}")
    for name in ("user", "text"):
        if not isinstance(values.get(name), str):
            raise ValueError(f"its {name!r} is {'no text' if name in values else 'missing'}")
        values[name].encode()  # refuses half a character
    return UserInput(values["user"], values["text"])
