"""Work in a process of its own: the memory it takes is its own, and it leaves nothing behind but files.

On Linux the processes are forked from one that has imported what they need and done nothing else, so that a bench of
eighty steps imports torch once and not eighty times. They see the environment as it was at the first step, and the
memory of each begins with these imports, whichever method it measures.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

from personaplug.errors import PersonaPlugError

Outcome = tuple[str, str] | None

IMPORTED_ONCE = [
    f"{__package__}.training",
    "transformers.trainer",
    "transformers.models.t5",
    "peft",
    "scipy.stats",
]
"""What is slow to import, and imported once. Of a module that is not there, multiprocessing says nothing."""


def run_isolated(work: Callable[[], object]) -> None:
    """Do work in a fresh process, which dies with this one.

    Args:
        work: A partial of a function of a module.

    Raises:
        PersonaPlugError: The work raised one, or its process failed or was killed.
    """
    context = _context()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_do, args=(work, theirs))
    process.start()
    theirs.close()
    try:
        outcome: Outcome = ours.recv()
    except EOFError:
        process.join()
        raise _ended_early(process.exitcode or 0) from None
    except BaseException:
        process.terminate()  # where the terminal's ^C reached this process alone
        raise
    finally:
        process.join()
    if outcome:
        message, hint = outcome
        raise PersonaPlugError(message, hint=hint)


def _context() -> ForkServerContext | SpawnContext:
    """Choose how processes begin: by forking on Linux, where importing leaves no thread at work."""
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(IMPORTED_ONCE)
    return context


def _ended_early(exit_code: int) -> PersonaPlugError:
    """Say what became of a process that gave no outcome: above zero it failed, below zero a signal killed it."""
    if exit_code > 0:
        return PersonaPlugError(
            f"a step failed: exit code {exit_code}",
            hint="the traceback above says why; once that is mended, the same command goes on from here",
        )
    return PersonaPlugError(
        f"the process of a step ended without a word: exit code {exit_code}",
        hint="where it was killed for memory, try a smaller batch_size; the same command goes on from here",
    )


def _do(work: Callable[[], object], answer: Any) -> None:  # noqa: ANN401 (a connection, by another name on Windows)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the parent says that it was interrupted
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        work()
    except PersonaPlugError as error:
        answer.send((str(error), error.hint))
    except OSError as error:
        answer.send((f"{error.filename}: {error.strerror}" if error.filename else str(error), ""))
    else:
        answer.send(None)


def _die_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
