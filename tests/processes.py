"""Processes of their own, for what is killed: forked off one that has imported everything, once for all tests."""

import os
import signal
from multiprocessing import get_context
from pathlib import Path
from tempfile import NamedTemporaryFile

APART = get_context("forkserver")
APART.set_forkserver_preload(
    [
        "personaplug.workflows.methods",
        "personaplug.serving.api.server",
        "personaplug.training.trainer",
        "personaplug.rivals.user_lora.training",
    ]
)


def start(work, *arguments, stderr):
    """Start a module's function in a process of its own, which is killed with the tests; its screen is a file."""
    process = APART.Process(target=_telling, args=(stderr, work, *arguments), daemon=True)
    process.start()
    return process


def kill_itself(work, *arguments):
    """Run a module's function, which kills its process."""
    with NamedTemporaryFile() as stderr:
        process = start(work, *arguments, stderr=stderr.name)
        process.join(timeout=100)
        assert process.exitcode == -signal.SIGKILL, Path(stderr.name).read_text()


def die():
    """Kill this process as abruptly as a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


def _telling(stderr, work, *arguments):
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    work(*arguments)
