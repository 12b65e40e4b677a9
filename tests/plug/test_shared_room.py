"""The room for retrieved items as LaMP shares it out; lengths by hand, of a model whose tokens are characters."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.plug.shared_room import SharedRoom
from personaplug.records import Example, Profile
from personaplug.retrieval.recency import RecencyRetriever
from personaplug.tasks.task import HistoryRules, Retrieval, Task, load_task
from tests import tiny
from tests.factories import make_items
from tests.world import NOW

TASK = Task(
    name="any",
    description="Any.",
    kind="generation",
    metrics=("rouge-1",),
    retrieval=Retrieval(item="<{input}>", separator="&&", prompt="{items}.{prompt}", input_share=0.6),
    history=HistoryRules(max_items=5),
)


def shared(max_tokens, *, task=TASK):
    """Share out prompts of so many tokens: each character is one, and an input has one more, as T5's has its end."""
    return SharedRoom(task, max_tokens, lambda text: len(text) + 1, len, lambda text, count: text[:count])


def lengths(prompt, *texts, max_tokens=100, task=TASK):
    return [len(item.input) for item in shared(max_tokens, task=task).fit(prompt, make_items(*texts))]


def test_a_long_input_counts_as_its_share_and_items_have_the_rest_in_equal_parts():
    # 100 - 60 = 40; less 1 for the point and 2 for each separator; 37 // 2 = 18 each; less "< >" and two end tokens.
    assert lengths("q" * 90, "a" * 50, "b" * 50) == [13, 13]
    assert lengths("q" * 59, "a" * 50, "b" * 50) == [13, 13]


def test_a_short_input_leaves_its_room_to_the_items():
    assert lengths("q" * 19, "a" * 50, "b" * 50) == [33, 33]  # (100 - 20 - 3) // 2 - 5


def test_what_an_item_leaves_is_the_next_ones():
    assert lengths("q" * 90, "a" * 3, "b" * 50) == [3, 23]
    assert lengths("q" * 90, "a" * 50, "b" * 3) == [13, 3]
    # (200 - 91 - 1 - 4) // 3 - 5 = 29 for each, of which the first two leave 28.
    assert lengths("q" * 90, "a", "b", "c" * 90, max_tokens=200) == [1, 1, 29 + 2 * 28]


def test_where_items_have_no_room_the_inputs_share_falls_until_they_are_left_out():
    # Of 24 tokens 60 and 50% leave too few; 40%, which are 9, leave (15 - 1 - 2) // 2 - 5.
    assert lengths("q" * 90, "a" * 9, "b" * 9, max_tokens=24) == [1, 1]
    assert lengths("q" * 90, *["a"] * 5, max_tokens=22) == []


def test_the_output_stays_whole_unless_the_task_shows_it_alone():
    task = replace(TASK, retrieval=replace(TASK.retrieval, item="<{input}|{output}>"))
    (item,) = shared(100, task=task).fit("q" * 90, make_items("a" * 50))
    assert (len(item.input), item.output) == (40 - 1 - 2 - len(f"< |{item.output}>"), make_items("")[0].output)
    alone = replace(TASK, retrieval=replace(TASK.retrieval, item="<{output}>"))
    (item,) = shared(100, task=alone).fit("q" * 90, [replace(make_items("in")[0], output="b" * 50)])
    assert (item.input, len(item.output)) == ("in", 40 - 1 - 2 - len("< >"))


texts = st.lists(st.text("ab é", max_size=60), min_size=1, max_size=5)


@settings(max_examples=50)
@given(texts=texts, asked=st.text("ab ", max_size=150), room=st.integers(20, 200), k=st.integers(1, 5))
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_prompt_with_items_is_no_longer_than_one_without(family, texts, asked, room, k):
    backbone = tiny.FAMILIES[family]()
    writer = RetrievalPrompt.of(
        TASK, RecencyRetriever(), backbone=backbone, k=k, item_tokens=7, beside=room, positions=None
    )
    (prompt,) = writer.write([Example("1", Profile("ada", tuple(make_items(*texts))), asked, None, NOW)])
    assert writer.max_tokens == room
    assert backbone.count_tokens(prompt) <= room
    if backbone.count_tokens(asked) <= 0.6 * room:
        assert prompt.endswith(asked)  # an input within its share loses nothing


def test_the_tasks_of_the_benchmark_share_out_the_room_and_others_do_not():
    assert {load_task(f"lamp-{number}").retrieval.input_share for number in range(1, 8)} == {0.6}
    assert Retrieval().input_share == 0


def test_lamp_1s_items_in_the_middle_of_the_question_are_shared_out_too():
    task = load_task("lamp-1")
    asked = 'For an author who has written the paper with the title "T", which one? [1]: "A" [2]: "B"'
    items = shared(140, task=task).fit(asked, make_items("a" * 60, "b" * 60))
    assert [len(item.input) for item in items] == [(140 - 84 - len(", and ")) // 2 - len('" "') - 2] * 2
