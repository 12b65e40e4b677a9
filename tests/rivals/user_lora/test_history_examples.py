"""What an adapter may be trained on."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from personaplug.data.split import split_examples
from personaplug.records import Example, Profile
from personaplug.rivals.user_lora.history_examples import histories_of, training_examples
from personaplug.tasks.task import HistoryRules, QueryRules, Splitting, load_task
from tests.factories import START, make_item, make_row
from tests.world import TASK

LAMP_2 = load_task("lamp-2")


def ask(user, day, count, text="what"):
    items = tuple(make_item(at, f"item {at}", "out") for at in range(count))
    return Example(f"{user} {day}", Profile(user, items), f"{text} {day}", "x", START + timedelta(days=day))


def test_a_users_history_is_that_of_the_first_query_whatever_the_order():
    asked = [ask("ben", 9, 4), ask("ada", 30, 8), ask("ada", 10, 3), ask("ada", 20, 5)]
    for order in (asked, asked[::-1]):
        found = histories_of(order)
        assert [history.profile.user_id for history in found] == ["ada", "ben"]
        assert (len(found[0].profile.items), found[0].first) == (3, "what 10")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), min_size=1, max_size=40), st.floats(0, 5))
def test_nothing_is_learnt_that_is_not_earlier_than_every_query_of_the_user(rows, embargo):
    log = [replace_id(make_row(user, day, output="o"), at) for at, (user, day) in enumerate(rows)]
    task = replace(TASK, history=HistoryRules(embargo_days=embargo), split=Splitting(by="latest"))
    for split in ("train", "dev", "test"):
        examples = split_examples(log, task, split=split)
        for history in histories_of(examples):
            learnt = training_examples(history, task, max_items=99)
            asked = [each for each in examples if each.profile.user_id == history.profile.user_id]
            first = min(each.time for each in asked)
            assert learnt
            assert all(example.time < first - task.history.embargo for example in learnt)
            assert not {example.id for example in learnt} & {each.id for each in asked}
            for example in learnt:
                assert all(item.time < example.time - task.history.embargo for item in example.profile.items)


def replace_id(row, at):
    return replace(row, item=replace(row.item, id=str(at)))


def test_the_latest_items_are_asked_and_earlier_ones_are_seen_beside_them():
    (history,) = histories_of([ask("ada", 9, 5)])
    learnt = training_examples(history, TASK, max_items=2)
    assert [(example.id, example.input, example.target) for example in learnt] == [
        ("3", "item 3", "out"),
        ("4", "item 4", "out"),
    ]
    assert [len(example.profile.items) for example in learnt] == [3, 4]


def test_without_history_there_is_nothing_to_learn():
    (history,) = histories_of([ask("nobody", 9, 0)])
    assert training_examples(history, TASK, max_items=9) == []


def test_a_bare_item_is_asked_in_the_words_of_the_query():
    items = (make_item(0, "A film.", "comedy"), make_item(1, "Of a duck.", "no tag of the task"))
    asked = Example("1", Profile("ada", items), "Which tag? description: Rain.", None, START + timedelta(days=9))
    learnt = training_examples(histories_of([asked])[0], LAMP_2, max_items=9)
    assert [example.input for example in learnt] == ["Which tag? description: A film.", "Of a duck."]


def test_an_items_own_words_around_the_query_stay():
    marked = replace(TASK, query=QueryRules(after="<", before=">"))
    assert marked.as_query("b", like="say <a> now") == "say <b> now"
    assert marked.as_query("tell <b> me", like="say <a> now") == "tell <b> me"
    assert marked.as_query("b", like="nothing marked") == "b"
    assert replace(TASK, query=QueryRules()).as_query("b", like="say <a> now") == "b"
