"""Runs some work again and again in forked processes, killed at its first step, its second, and so on to the end.

A step is whatever changes a file: opening one, writing it out, renaming, deleting, each statement of SQLite's, and
every few thousand instructions within one. Run as a program: it prints how many steps the work has.
"""

import os
import shutil
import sqlite3
import sys
from pathlib import Path

from personaplug.errors import UnknownUserError
from personaplug.store import database
from personaplug.store.bank_place import FILES
from personaplug.store.persona_store import PersonaStore
from personaplug.store.snapshots import beside
from tests.store.fakes import LAYOUT, stack
from tests.store.traces import all_bytes, history, traces

EVENTS = {"open", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate"}
USERS = ("ada-lovelace", "bob-marley", "ada-lovelace-2")
KILLED = 9


def prepare(home):
    """Make a store with two snapshots."""
    home.mkdir()
    with PersonaStore.open(home / "log.db", layout=LAYOUT) as store:
        for user in USERS:
            store.append(user, history(user), stack(history(user)))
        store.snapshot(beside(home / "log.db"))
        store.snapshot(home / "banks" / "one")


def forget(home):
    """Forget a user; one who is not known is forgotten already."""
    with PersonaStore.open(home / "log.db") as store:
        try:
            store.forget("bob-marley")
        except UnknownUserError:
            assert not store.has_remains


def snapshot(home):
    """Make the snapshots anew."""
    with PersonaStore.open(home / "log.db") as store:
        for folder in (beside(home / "log.db"), home / "banks" / "one"):
            bank = store.snapshot(folder)
            assert {path.name for path in folder.iterdir()} == FILES
            assert bank.is_current(store)


WORKS = {"forget": (forget,), "snapshot": (snapshot,), "forget, then snapshot": (forget, snapshot)}
"""What is killed, and what follows; a forget follows in the end."""


def check(home):
    """Raise if anything is left of the forgotten user, or missing of another."""
    left = all_bytes(home)
    assert not [trace for trace in traces("bob-marley", history("bob-marley")) if trace in left]
    with PersonaStore.open(home / "log.db") as store:
        assert list(store.users()) == ["ada-lovelace", "ada-lovelace-2"]
        for user in store.users():
            assert store.get(user).items == tuple(history(user))
            assert store.vectors(store.get(user)).tobytes() == stack(history(user)).astype("<f2").tobytes()
        assert not store.has_remains


def survives(work, home, *, steps):
    """Run some work in a process that dies before this step; tell whether it came to its end."""
    child = os.fork()
    if not child:
        _die_after(steps)
        work(home)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, KILLED), f"exit code {status} at step {steps}"
    return status == 0


class Quick(sqlite3.Connection):
    """Waits for no disk: who is killed loses nothing that the operating system has."""

    step = None

    def execute(self, statement, *values):
        self.step()
        self.set_progress_handler(self.step, 4000)
        return super().execute(statement.replace("synchronous = NORMAL", "synchronous = OFF"), *values)


def _die_after(steps):
    left = iter(range(steps))

    def step(*_):
        if next(left, None) is None:
            os._exit(KILLED)
        return 0

    Quick.step = staticmethod(step)
    os.fsync = step
    sys.addaudithook(lambda event, _: step() if event in EVENTS else None)


def main(root, name):
    """Kill one of :data:`WORKS` at each of its steps."""
    connect = sqlite3.connect
    database.sqlite3.connect = lambda *args, **settings: connect(*args, factory=Quick, **settings)
    os.fsync = lambda _: None
    Quick.step = staticmethod(lambda: 0)
    home, template = root / "home", root.with_name(f"{root.name}-template")
    prepare(home)
    home.rename(template)
    first, *others = WORKS[name]
    steps, is_done = 0, False
    while not is_done:
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(template, home)
        is_done = survives(first, home, steps=steps)
        for work in (*others, forget):
            work(home)
        check(home)
        steps += 1
    print(steps)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
