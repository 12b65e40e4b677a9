"""Somebody else's history: never one's own, never from the future, as long as one's own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.data.split import split_examples
from personaplug.data.stranger import count_shorter, with_one_stranger_each, with_strangers
from personaplug.errors import PersonaPlugError
from personaplug.tasks.task import HistoryRules, Splitting, Task
from tests.factories import make_row


def make_examples(days_of, history):
    task = Task("mine", "", "generation", ("rouge-1",), split=Splitting(by="latest"), history=history)
    rows = [make_row(user, day, text=f"{user}{day}") for user, days in days_of.items() for day in days]
    return split_examples(rows, task, split="train")


days = st.lists(st.integers(0, 30), min_size=4, max_size=15, unique=True)
histories = st.builds(
    HistoryRules, min_items=st.integers(0, 2), max_items=st.integers(1, 8), embargo_days=st.sampled_from([0.0, 2.0])
)


@settings(max_examples=40)
@given(st.fixed_dictionaries(dict.fromkeys("abcd", days)), histories, st.integers(0, 3))
def test_a_stranger_is_somebody_else_with_as_much_history_of_before_the_query(days_of, history, seed):
    examples = make_examples(days_of, history)
    estranged = with_strangers(examples, seed=seed)
    for own, other in zip(examples, estranged, strict=True):
        assert other.profile.user_id != own.profile.user_id
        assert (other.id, other.input, other.target, other.time) == (own.id, own.input, own.target, own.time)
        assert all(own.time - item.time > history.embargo for item in other.profile.items)
        others = [profile.items for profile in examples.profiles if profile.user_id != own.profile.user_id]
        most = max(sum(own.time - item.time > history.embargo for item in items) for items in others)
        assert len(other.profile.items) == min(len(own.profile.items), most)


@settings(max_examples=40)
@given(st.fixed_dictionaries(dict.fromkeys("abcd", days)), histories, st.integers(0, 3))
def test_all_queries_of_a_user_can_have_one_stranger_who_is_that_of_the_first(days_of, history, seed):
    examples = make_examples(days_of, history)
    first_met, each_met = {}, {}
    by_time = sorted(zip(examples, with_strangers(examples, seed=seed), strict=True), key=lambda pair: pair[0].time)
    for own, other in by_time:
        first_met.setdefault(own.profile.user_id, other)
    for own, other in zip(examples, with_one_stranger_each(examples, seed=seed), strict=True):
        asker, first = own.profile.user_id, first_met[own.profile.user_id]
        each_met.setdefault(asker, set()).add(other.profile.user_id)
        assert (other.id, other.input, other.target, other.time) == (own.id, own.input, own.target, own.time)
        (stranger,) = [p for p in examples.profiles if p.user_id == first.profile.user_id]
        seen = [item for item in stranger.items if own.time - item.time > history.embargo]
        assert list(other.profile.items) == (seen[-len(own.profile.items) :] if own.profile.items else [])
        if own.id == first.id:
            assert other.profile.items == first.profile.items
    assert all(len(names) == 1 for names in each_met.values())
    assert len(set.union(set(), *each_met.values())) == len(each_met)


@pytest.fixture
def examples():
    return make_examples({name: range(20) for name in "abcdefghij"}, HistoryRules())


def test_of_a_stranger_who_did_more_the_latest_items_are_taken():
    examples = make_examples({"ada": [0, 10, 20, 21, 22], "bob": range(23)}, HistoryRules())
    estranged = with_strangers(examples[:2], seed=0)
    assert [item.input for item in estranged[0].profile.items] == ["bob9"]
    assert [item.input for item in estranged[1].profile.items] == ["bob18", "bob19"]


def test_strangers_repeat_with_their_seed_and_differ_with_another(examples):
    strangers = [with_strangers(examples, seed=seed).queries for seed in (0, 0, 1)]
    assert strangers[0] == strangers[1] != strangers[2]


def test_a_user_meets_many_strangers(examples):
    met = {example.profile.user_id for example in with_strangers(examples, seed=0)[:17]}
    assert len(met) >= 5


def test_a_sample_keeps_its_strangers(examples):
    of_sample = with_strangers(examples.sample(20, seed=5), seed=0)
    assert of_sample.queries == with_strangers(examples, seed=0).sample(20, seed=5).queries


def test_an_empty_history_stays_empty():
    examples = make_examples({"a": range(5), "b": range(5)}, HistoryRules(min_items=0))
    assert examples[0].profile.items == ()
    assert with_strangers(examples, seed=0)[0].profile.items == ()


def test_where_nobody_did_anything_before_the_stranger_brings_nothing_and_is_counted():
    examples = make_examples({"a": range(9), "b": range(20, 30)}, HistoryRules())
    estranged = with_strangers(examples, seed=0)
    assert [len(each.profile.items) for each in estranged if each.time.day < 20] == [0] * 6
    assert count_shorter(examples, estranged) == 6
    assert count_shorter(examples, examples) == 0


def test_a_user_alone_has_no_stranger():
    with pytest.raises(PersonaPlugError, match="all queries are of one user"):
        with_strangers(make_examples({"a": range(9)}, HistoryRules()), seed=0)
    with pytest.raises(PersonaPlugError, match="no stranger"):
        with_one_stranger_each(make_examples({"a": range(9)}, HistoryRules()), seed=0)
