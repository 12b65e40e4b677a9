"""A store is a dict from users to their items by id, whatever is appended and forgotten in whatever order."""

from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from personaplug.errors import UnknownUserError
from personaplug.store.base import text_hash
from personaplug.store.persona_store import PersonaStore
from tests.factories import START, make_item
from tests.store.fakes import LAYOUT, stack

INPUTS, OUTPUTS = ("", "x", "y"), ("x", "z")
TEXTS = {text for i in INPUTS for o in OUTPUTS for text in LAYOUT.texts(make_item(0, i, o))}


class StoreMachine(RuleBasedStateMachine):
    users = st.sampled_from(["ada", "bob", "ада", ""])
    items = st.lists(
        st.builds(make_item, st.integers(0, 5), st.sampled_from(INPUTS), st.sampled_from(OUTPUTS)).map(
            lambda item: replace(item, time=START + (item.time - START) // timedelta(days=2) * timedelta(days=1))
        )
    )

    def __init__(self):
        super().__init__()
        self.store = self.opened()
        self.model = {}
        self.version = 0

    @rule(user=users, items=items)
    def append(self, user, items):
        held = self.model.get(user, {})
        changed = {id: item for id, item in {item.id: item for item in items}.items() if held.get(id) != item}
        assert self.store.append(user, items, stack(items)) == len(changed)
        assert (self.store.version > self.version) == bool(changed)
        if changed:
            self.model[user] = held | changed

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def forget(self, data):
        user = data.draw(st.sampled_from(sorted(self.model)))
        assert self.store.forget(user) == len(self.model.pop(user))
        assert self.store.version > self.version

    @rule(user=users)
    def a_user_of_whom_there_is_nothing_is_unknown(self, user):
        for verb in (self.store.get, self.store.summary, self.store.forget):
            if user not in self.model:
                with pytest.raises(UnknownUserError):
                    verb(user)

    @invariant()
    def it_holds_what_the_dict_holds(self):
        self.version = self.store.version
        assert list(self.store.users()) == sorted(self.model)
        assert self.store.count() == sum(map(len, self.model.values()))
        for user, items in self.model.items():
            profile = self.store.get(user)
            assert profile.items == tuple(sorted(items.values(), key=lambda item: item.time))
            assert np.array_equal(self.store.vectors(profile), stack(profile.items).astype(np.float16))
            assert not self.store.missing(user, profile.items)

    @invariant()
    def it_knows_the_texts_of_these_items_and_no_others(self):
        held = {text for items in self.model.values() for item in items.values() for text in LAYOUT.texts(item)}
        known = self.store.known([text_hash(text) for text in TEXTS])
        assert known.keys() == {text_hash(text) for text in held}

    def teardown(self):
        self.store.close()


def test_a_store_is_a_dict_of_dicts(address_of_another):
    StoreMachine.opened = lambda _: PersonaStore.open(address_of_another(), layout=LAYOUT)
    examples = 12 if isinstance(address_of_another(), Path) else 5  # a forget takes Postgres 100 ms
    run_state_machine_as_test(StoreMachine, settings=settings(max_examples=examples, stateful_step_count=10))


@pytest.fixture(params=["sqlite", "postgres"])
def address_of_another(request, tmp_path):
    """Give the address of a new store with each call."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres").url
    numbers = count()
    return lambda: tmp_path / f"{next(numbers)}.db"
