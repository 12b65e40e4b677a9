"""A second machine, as far as networks go: a network namespace of Linux, with a cable to this one that can be cut."""

import ctypes
import os
import random
import shutil
import subprocess
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests import processes

_NEW_NET = 0x40000000
_NUMBERS = count()


class Machine:
    """A machine at the other end of a cable.

    Args:
        name: Of its namespace.
        cable: Of this end.
        here: This machine's address on the cable.
        address: Its own.
    """

    def __init__(self, name, cable, here, address):
        self.name, self.cable, self.here, self.address = name, cable, here, address
        self.running = []

    def start(self, work, *arguments, stderr):
        """Start a module's function there; it is killed with the machine."""
        return self.also_kills(processes.start(_there, self.name, work, *arguments, stderr=stderr))

    def also_kills(self, process):
        """Have a process of this end killed with the machine too."""
        self.running.append(process)
        return process

    def gives_up_after(self, tries):
        """Have connections there end after a few tries to reach the other end, seconds in place of minutes."""
        write = ("ip", "netns", "exec", self.name, "sh", "-c", f"echo {tries} > /proc/sys/net/ipv4/tcp_retries2")
        if subprocess.run(write, capture_output=True, check=False).returncode:
            pytest.skip("this machine lets nobody say how often a connection tries")

    def cut(self):
        """Cut the cable: whatever is sent is lost, and no connection is closed."""
        _run("ip", "link", "set", self.cable, "down")

    def mend(self):
        """Connect it again."""
        _run("ip", "link", "set", self.cable, "up")


@contextmanager
def another_machine():
    """Set up such a machine, gone in the end; skip the test where that is not possible."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("networks are cut as root, with `ip`: apt install iproute2")
    number = f"{os.getpid() % 60000}-{next(_NUMBERS)}"
    net = f"10.213.{random.randrange(256)}"
    machine = Machine(f"pplug-{number}", f"pp{number}", f"{net}.1", f"{net}.2")
    if subprocess.run(["ip", "netns", "add", machine.name], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no network namespaces")
    try:
        inside = ("ip", "-n", machine.name)
        _run("ip", "link", "add", machine.cable, "type", "veth", "peer", "name", "out", "netns", machine.name)
        _run("ip", "address", "add", f"{machine.here}/30", "dev", machine.cable)
        _run(*inside, "address", "add", f"{machine.address}/30", "dev", "out")
        for end in (
            ("ip", "link", "set", machine.cable),
            (*inside, "link", "set", "out"),
            (*inside, "link", "set", "lo"),
        ):
            _run(*end, "up")
        yield machine
    finally:
        for process in machine.running:
            process.kill()
            process.join()
        _run("ip", "netns", "del", machine.name)  # and with its last process the cable


def _there(name, work, *arguments):
    with Path("/run/netns", name).open() as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NEW_NET):
            raise OSError(ctypes.get_errno(), "no way into the namespace")
    work(*arguments)


def _run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
