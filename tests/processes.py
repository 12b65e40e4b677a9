"""Processes of their own, for what is killed: forked off one that has imported everything, once for all tests."""

import os
import signal
from multiprocessing import get_context

APART = get_context("forkserver")
APART.set_forkserver_preload(
    [
        "personaplug.cli.wiring",
        "personaplug.serving.server",
        "personaplug.training.trainer",
        "personaplug.training.user_lora",
    ]
)


def start(work, *arguments):
    """Start a module's function in a process of its own, which is killed with the tests."""
    process = APART.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def kill_itself(work, *arguments):
    """Run a module's function, which kills its process."""
    process = start(work, *arguments)
    process.join()
    assert process.exitcode == -signal.SIGKILL


def die():
    """Kill this process as abruptly as a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)
