import pytest

from personaplug.errors import DataError
from personaplug.rivals.user_lora.cost import UserCost


def test_costs_are_those_of_the_users_who_have_something(tmp_path):
    cost = UserCost.of(items=[2, 4, 9], seconds=[1.0, 2.0, 6.0], sizes=[10, 20, 30], users=5, machine="here")
    assert (cost.users, cost.without_history, cost.history_items) == (3, 2, 5)
    assert (cost.seconds, cost.seconds_a_user, cost.median_seconds_a_user, cost.longest_seconds) == (9, 3, 2, 6)
    assert (cost.bytes, cost.bytes_a_user) == (60, 20)
    cost.write(tmp_path)
    assert UserCost.read(tmp_path) == cost


def test_nobody_costs_nothing(tmp_path):
    cost = UserCost.of(items=[], seconds=[], sizes=[], users=1, machine="here")
    assert (cost.users, cost.without_history, cost.seconds, cost.bytes) == (0, 1, 0, 0)
    cost.write(tmp_path)
    assert UserCost.read(tmp_path) == cost


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"users": 1}', '{"other": 1}', "[" * 200_000], ids=lambda content: content[:9]
)
def test_a_file_that_holds_no_costs_is_named(content, tmp_path):
    (tmp_path / "cost.json").write_text(content)
    with pytest.raises(DataError, match=r"cost\.json: not the costs of a run"):
        UserCost.read(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        UserCost.read(tmp_path / "nowhere")
