"""A log on disk gives the examples that the log in memory gives."""

from dataclasses import replace
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.data.split import split_examples
from personaplug.data.user_grouped_log import UserGroupedLog
from personaplug.errors import PersonaPlugError
from personaplug.tasks.task import Split
from tests.data.test_split import rows, tasks
from tests.factories import make_row

SIGNS = "\ud800 \0 🙂 é\nz"


@settings(max_examples=60)
@given(rows, tasks, st.sampled_from(get_args(Split)), st.none() | st.integers(0, 12), st.integers(0, 3))
def test_what_is_drawn_from_disk_is_what_is_drawn_from_memory(rows, task, split, count, seed):
    whole = split_examples(rows, task, split=split)
    with UserGroupedLog.of(rows) as grouped:
        drawn = grouped.draw(task, split, count, seed=seed)
    assert list(drawn) == list(whole if count is None else whole.sample(count, seed=seed))
    assert len(drawn.profiles) == len({query.owner for query in drawn.queries})


@given(st.lists(st.builds(make_row, st.sampled_from("ab"), st.integers(0, 9), text=st.text(max_size=5)), max_size=9))
def test_a_shelf_gives_back_each_row_as_it_was_in_order_of_users(rows):
    rows = [replace(row, item=replace(row.item, id=f"{SIGNS}{at}")) for at, row in enumerate(rows)]
    with UserGroupedLog.of(rows) as grouped:
        held = [(user, list(mine)) for user, mine in grouped.users()]
        assert held == [(user, grouped.user(user)) for user, _ in held]
    assert [row for _, mine in held for row in mine] == sorted(rows, key=lambda row: row.user_id)


def test_users_stand_in_the_order_of_their_ids_whatever_their_signs():
    users = ["\ud800", "b", "\uffff", "🙂", "a\0", "a", "É"]
    with UserGroupedLog.of(make_row(user, 0) for user in users) as grouped:
        assert [user for user, _ in grouped.users()] == sorted(users)


@settings(max_examples=20)
@given(rows, tasks, st.sampled_from(get_args(Split)))
def test_what_is_refused_in_memory_is_refused_on_disk(rows, task, split):
    clash = [*rows, replace(rows[0], item=replace(rows[0].item, input="another"), has_output=True)]
    with UserGroupedLog.of(clash) as grouped:
        found = complaint(lambda: grouped.draw(task, split, 1, seed=0))
    assert found == complaint(lambda: split_examples(clash, task, split=split))


def complaint(draw):
    """Give what is said against a log; None where nothing is."""
    try:
        draw()
    except PersonaPlugError as error:
        return str(error)
    return None
