"""A store that is copied into another, of whatever kind, is the same there, to the bit."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from personaplug.errors import FingerprintMismatchError, StoreError
from personaplug.store.copying import copy
from personaplug.store.persona_store import PersonaStore
from tests.factories import make_item, make_items
from tests.store.fakes import LAYOUT, stack

TWINS = [replace(make_item(1, f"twin {name}\0\1\2"), id=name) for name in ("710", "72", "9", "8")]
HISTORIES = {
    "ada": make_items("one", "two", "three"),
    "bob": TWINS,
    "ü\x1fcyd": make_items("", "two"),
    "dan": [make_item(day, "x" * 3000 + str(day)) for day in range(9)],
}


@pytest.fixture(params=["sqlite to postgres", "postgres to sqlite", "sqlite to sqlite", "postgres to postgres"])
def places(request, tmp_path, postgres):
    """Two addresses, with a store at the first."""
    source, target = (
        tmp_path / f"{place}.db" if kind == "sqlite" else postgres.url()
        for place, kind in enumerate(request.param.split(" to "))
    )
    with PersonaStore.open(source, layout=LAYOUT) as store:
        for user, items in HISTORIES.items():
            for item in items:
                store.append(user, [item], stack([item]))
    return source, target


def opened(places):
    return PersonaStore.open(places[0]), PersonaStore.open(places[1], layout=LAYOUT)


def test_a_copy_holds_the_same_users_items_order_and_vectors(places):
    source, target = opened(places)
    with source, target:
        assert copy(source, target).new_items == 18
        assert list(target.users()) == sorted(HISTORIES)
        for user, items in HISTORIES.items():
            assert target.get(user).items == tuple(items)
            assert np.array_equal(target.vectors(target.get(user)), source.vectors(source.get(user)))


def test_what_has_come_since_is_added_by_the_next_copy_and_nothing_is_written_twice(places):
    source, target = opened(places)
    with source, target:
        copy(source, target)
        version = target.version
        assert copy(source, target).new_items == 0
        assert target.version == version
        late = replace(TWINS[0], id="late")
        source.append("bob", [late], stack([late]))
        copied = copy(source, target)
        assert (copied.users, copied.items, copied.new_items) == (4, 19, 1)


KILLED_AT_THE_THIRD_USER = """
import os, signal, sys
from personaplug.cli.main import main
from personaplug.store import copying
copying.ITEMS_AT_ONCE = 1
append, calls = copying.PersonaStore.append, []
def dying(self, *args):
    calls.append(append(self, *args))
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return calls[-1]
copying.PersonaStore.append = dying
main(["store", "copy", *sys.argv[1:]])
"""


COPY = "from personaplug.cli.main import main; main()"


def test_a_copy_that_was_killed_is_finished_and_verified_by_the_same_command(places):
    words = [str(place) for place in places]
    killed = subprocess.run([sys.executable, "-c", KILLED_AT_THE_THIRD_USER, *words], check=False)
    assert killed.returncode == -signal.SIGKILL
    with PersonaStore.open(places[1]) as target:
        assert list(target.users()) == ["ada", "bob"]  # the third was being written
    command = [sys.executable, "-c", COPY, "store", "copy", "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert (told["users"], told["items"], told["new_items"]) == (4, 18, 11)


def test_a_target_with_somebody_else_in_it_is_refused_by_name(places):
    source, target = opened(places)
    with source, target:
        target.append("eve", HISTORIES["ada"], stack(HISTORIES["ada"]))
        with pytest.raises(StoreError, match="holds the user 'eve'"):
            copy(source, target)


def test_other_vectors_than_the_sources_are_told(places):
    source, target = opened(places)
    with source, target:
        target.append("ada", HISTORIES["ada"], stack(HISTORIES["ada"]) * 0.5)
        with pytest.raises(StoreError, match="'ada' differs") as caught:
            copy(source, target)
        assert "repeat" in caught.value.hint


def test_another_order_than_the_sources_is_told(places):
    source, target = opened(places)
    with source, target:
        target.append("bob", TWINS[::-1], stack(TWINS[::-1]))
        with pytest.raises(StoreError, match="'bob' differs"):
            copy(source, target)


def test_a_store_is_not_copied_into_itself(store, path):
    with PersonaStore.open(path) as same, pytest.raises(StoreError, match="is the store to be copied"):
        copy(store, same)


def test_a_store_of_another_layout_is_no_target(places):
    PersonaStore.open(places[1], layout=replace(LAYOUT, fingerprint="other")).close()
    with PersonaStore.open(places[0]) as source, pytest.raises(FingerprintMismatchError):
        PersonaStore.open(places[1], layout=source.layout)
