"""How often a history is found in memory, against memories that were played through."""

from collections import OrderedDict
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaplug.planning.memory import hit_rate

skews = st.floats(0, 1.5)


def played(users, skew, *, room, between=None, requests=60_000):
    """Play a memory that forgets who asked longest ago, and count the last half of the requests."""
    weights = np.arange(1, users + 1, dtype=float) ** -skew
    asked = np.random.default_rng(3).choice(users, requests, p=weights / weights.sum())
    held, hits = OrderedDict(), 0
    for number, user in enumerate(asked.tolist()):
        if between and number % between == 0:
            held.clear()
        if user in held:
            hits += number >= requests // 2
            held.move_to_end(user)
        held[user] = None
        if len(held) > room:
            held.popitem(last=False)
    return hits / (requests - requests // 2)


@pytest.mark.parametrize("skew", [0, 0.6, 0.8, 1.1])
@pytest.mark.parametrize("room", [10, 100, 1_000])
def test_the_law_gives_what_a_played_memory_finds(skew, room):
    assert hit_rate(users=2_000, skew=skew, room=room) == pytest.approx(played(2_000, skew, room=room), abs=0.01)


@pytest.mark.parametrize("between", [1, 10, 300, 3_000])
def test_the_law_knows_of_changes_that_empty_the_memory(between):
    found = played(2_000, 0.8, room=500, between=between)
    assert hit_rate(users=2_000, skew=0.8, room=500, between=between) == pytest.approx(found, abs=0.01)


@given(st.integers(2, 10**9), skews)
def test_with_room_for_all_and_no_change_all_are_found(users, skew):
    assert hit_rate(users=users, skew=skew, room=users) == 1


@given(st.integers(2, 10**8), skews, st.floats(0.01, 0.9))
def test_more_room_and_fewer_changes_find_more(users, skew, share):
    rates = [hit_rate(users=users, skew=skew, room=part * users) for part in (share / 2, share)]
    assert 0 <= rates[0] <= rates[1] <= 1
    seldom, often = (hit_rate(users=users, skew=skew, room=share * users, between=each) for each in (1e6, 1e3))
    assert -1e-9 <= often <= seldom + 1e-9
    assert seldom <= hit_rate(users=users, skew=skew, room=share * users, between=inf) + 1e-9


@given(st.integers(20_000, 10**6))
def test_neighbors_counted_in_groups_are_as_if_counted_one_by_one(users):
    shares = np.arange(1, users + 1, dtype=float) ** -0.8
    shares /= shares.sum()
    exact = 1 + np.expm1(-shares * 5_000).sum() / 5_000
    assert hit_rate(users=users, skew=0.8, room=users, between=5_000) == pytest.approx(exact, abs=1e-4)
