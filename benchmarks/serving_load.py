"""Load on a server: many clients at once, every answer compared with the same request alone.

    python benchmarks/serving_load.py --run runs/headlines --store log.db --clients 64 --requests 2000

starts ``personaplug serve`` as a process of its own and asks each request once alone, for the answers and the time that
they take one by one; then another such process, which knows nothing yet, and all of them again from many clients. It
writes a report as JSON: throughput of both, p50, p99, answers that differ or are lost, and the second server's memory
before the load, at each quarter and at the end. It fails where an answer differs or is lost.

What stands behind ``--`` goes to ``personaplug serve``, such as ``-- --engine vllm --url http://localhost:18080``.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import click
import openai

from personaplug.store.persona_store import PersonaStore


@dataclass(frozen=True, slots=True)
class Request:
    """One question of one user."""

    user: str
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and how many seconds it took."""

    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured.

    Attributes:
        requests: Requests of the load.
        users: Different users among them.
        clients: Clients at once.
        alone_per_second: Answers a second, asked one by one.
        together_per_second: The same from all clients.
        times_faster: The quotient.
        p50: Seconds within which half of the answers came.
        p99: Seconds within which 99% came.
        compared: Answers that were compared with those of the same requests alone.
        distinct: Different answers among these: one given to another's request would show.
        different: Answers that differ from those of the same requests alone.
        lost: Requests without an answer.
        memory_mib: Resident memory of the server before the load and after each quarter of it.
    """

    requests: int
    users: int
    clients: int
    alone_per_second: float
    together_per_second: float
    times_faster: float
    p50: float
    p99: float
    compared: int
    distinct: int
    different: int
    lost: int
    memory_mib: tuple[float, ...]


@click.command()
@click.option("--run", type=click.Path(path_type=Path), required=True, help="Folder of a trained plug.")
@click.option("--store", type=click.Path(path_type=Path), required=True, help="The users' histories.")
@click.option("--clients", type=click.IntRange(1), default=64, show_default=True)
@click.option("--requests", "count", type=click.IntRange(1), default=2_000, show_default=True)
@click.option("--users", "most_users", type=click.IntRange(1), default=1_000, show_default=True)
@click.option("--alone", type=click.IntRange(1), help="Requests asked alone; by default all.")
@click.option("--characters", type=click.IntRange(1), default=300, show_default=True, help="Longer inputs are cut.")
@click.option("--max-tokens", type=click.IntRange(1), default=24, show_default=True)
@click.option("--batch-rows", type=click.IntRange(1), default=32, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the report; by default on stdout.")
@click.argument("serving", nargs=-1)
def main(  # noqa: PLR0913 (each option by itself, as click gives them)
    run: Path,
    store: Path,
    clients: int,
    count: int,
    most_users: int,
    alone: int | None,
    characters: int,
    max_tokens: int,
    batch_rows: int,
    out: Path | None,
    serving: tuple[str, ...],
) -> None:
    """Measure a server under load."""
    requests = read_requests(store, count=count, most_users=most_users, characters=characters)
    chosen, model = requests[: alone or count], run.resolve().name
    with server(run, store, *serving, batch_rows=batch_rows) as (url, _):
        ask = asking(url, model=model, max_tokens=max_tokens)
        ask(requests[-1])
        begun = time.monotonic()
        expected = [ask(request).text for request in chosen]
        alone_per_second = len(chosen) / (time.monotonic() - begun)
    with server(run, store, *serving, batch_rows=batch_rows) as (url, pid):
        ask = asking(url, model=model, max_tokens=max_tokens)
        ask(requests[-1])
        memory, answers, begun = [resident(pid)], [], time.monotonic()
        for first in range(0, count, quarter := -(-count // 4)):
            answers += at_once(ask, requests[first : first + quarter], clients=clients)
            memory.append(resident(pid))
        together_per_second = count / (time.monotonic() - begun)
    seconds = sorted(answer.seconds for answer in answers if answer)
    report = Report(
        requests=count,
        users=len({request.user for request in requests}),
        clients=clients,
        alone_per_second=round(alone_per_second, 2),
        together_per_second=round(together_per_second, 2),
        times_faster=round(together_per_second / alone_per_second, 2),
        p50=round(statistics.median(seconds), 3),
        p99=round(seconds[int(0.99 * (len(seconds) - 1))], 3),
        compared=len(expected),
        distinct=len(set(expected)),
        different=sum(answer.text != text for answer, text in zip(answers, expected, strict=False) if answer),
        lost=sum(answer is None for answer in answers),
        memory_mib=tuple(round(each, 1) for each in memory),
    )
    text = json.dumps(asdict(report), indent=2) + "\n"
    if out:
        out.write_text(text)
    else:
        click.echo(text, nl=False)
    if report.different or report.lost:
        raise click.ClickException(f"{report.different} answers differ, {report.lost} are lost")


def read_requests(store: Path, *, count: int, most_users: int, characters: int) -> list[Request]:
    """Ask, in turn for each user, what another once read: no two requests are alike."""
    with PersonaStore.open(store) as opened:
        users = list(islice(opened.users(), most_users))
        texts = [opened.get(user).items[-1].input[:characters] for user in users]
    size = len(users)
    pairs = ((at % size, (at + 7 * (1 + at // size)) % size) for at in range(count))
    return [Request(users[user], texts[text]) for user, text in pairs]


@contextmanager
def server(run: Path, store: Path, *more: str, batch_rows: int) -> Iterator[tuple[str, int]]:
    """Run ``personaplug serve``; give its address and process."""
    command = [sys.executable, "-c", "from personaplug.cli.main import main; main()", "serve", "--open", "--port", "0"]
    command += ["--run", str(run), "--store", str(store), "--batch-rows", str(batch_rows), *more]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = next((line for line in process.stderr if line.startswith("Serving")), "")
        found = re.search(r"http://\S+", said)
        if found is None:
            raise click.ClickException("the server did not start")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found[0], process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def asking(url: str, *, model: str, max_tokens: int):  # noqa: ANN201 (a function of a request)
    """Make the function that asks, on one client for all threads."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=600)

    def ask(request: Request) -> Answered:
        begun = time.monotonic()
        done = client.chat.completions.create(
            model=model,
            user=request.user,
            max_tokens=max_tokens,
            messages=[{"role": "user", "content": request.text}],
        )
        return Answered(done.choices[0].message.content or "", time.monotonic() - begun)

    return ask


def at_once(ask, requests: Sequence[Request], *, clients: int) -> list[Answered | None]:  # noqa: ANN001
    """Ask from many clients at once; None where no answer came."""

    def attempt(request: Request) -> Answered | None:
        try:
            return ask(request)
        except openai.OpenAIError:
            return None

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(attempt, requests))


def resident(pid: int) -> float:
    """Read a process's resident memory, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
