"""One person is one user, and each question sees its own profile whatever the user's others hold."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personaplug.data.lamp import read_lamp
from personaplug.data.log import read_log, write_log
from personaplug.data.split import split_examples
from personaplug.data.stranger import with_strangers
from personaplug.errors import DataError
from personaplug.tasks.task import load_task
from tests.lamp_files import make_profile, write_split

SPLITS = ("train", "dev", "test")
GROWN = make_profile("lamp-4", 4, dates=["2013-05-01", "2013-05-02", "2013-05-03", "2013-05-04"])


def examples_in(folder, split):
    task = load_task("lamp-4")
    write_log(read_lamp(folder, "lamp-4"), folder / "log.jsonl")
    return list(split_examples(read_log(folder / "log.jsonl", task), task, split=split))


def ids(example):
    return [item.id for item in example.profile.items]


def test_one_person_is_one_user_whose_history_grows_from_split_to_split(tmp_path):
    for split, size in zip(SPLITS, (2, 3, 4), strict=True):
        write_split(tmp_path, "lamp-4", split, [GROWN[:size]], users=["u7"])
    rows = list(read_lamp(tmp_path, "lamp-4"))
    assert {row["user_id"] for row in rows} == {"u7"}
    assert [row["id"] for row in rows] == ["0", "1", "train0", "2", "dev0", "3", "test0"]
    assert [ids(examples_in(tmp_path, split)[0]) for split in SPLITS] == [list("01"), list("012"), list("0123")]


@st.composite
def growing(draw):
    """Give a history of dated items, how many of them each question of three files sees, and the files' order of each.

    Dates are years, so most are equal.
    """
    years = sorted(draw(st.lists(st.integers(1960, 1963), min_size=1, max_size=7)))
    sizes = draw(st.lists(st.lists(st.integers(0, len(years)), max_size=4), min_size=3, max_size=3))
    return make_profile("lamp-4", len(years), dates=[str(year) for year in years]), sizes


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(growing(), st.booleans())
def test_each_question_sees_its_own_profile_and_nothing_more_however_coarse_the_dates(tmp_path, history, has_dates):
    items, sizes = history
    items = items if has_dates else [{**item, "date": None} for item in items]
    items = [{name: value for name, value in item.items() if value is not None} for item in items]
    for split, own in zip(SPLITS, sizes, strict=True):
        write_split(tmp_path, "lamp-4", split, [items[:size] for size in own], users=["u7"] * len(own))
    if not any(sizes):
        return
    for split, own in zip(SPLITS, sizes, strict=True):
        seen = {example.id: ids(example) for example in examples_in(tmp_path, split)}
        assert seen == {f"{split}{n}": [item["id"] for item in items[:size]] for n, size in enumerate(own)}


@pytest.mark.parametrize(
    "other",
    [GROWN[1:], [*GROWN[:2], {"id": "9", "text": "t", "title": "h", "date": "2012-01-01"}]],
    ids=["lacks-an-item", "has-an-earlier-one"],
)
def test_a_profile_that_does_not_continue_the_users_others_is_refused_and_can_be_left_out(other, tmp_path):
    folder = write_split(tmp_path, "lamp-4", "dev", [GROWN[:2], other], users=["u7", "u7"])
    with pytest.raises(DataError, match="the profile of question 'dev1' does not fit in") as caught:
        list(read_lamp(folder, "lamp-4"))
    assert "--skip-bad" in caught.value.hint
    errors = []
    assert [row["id"] for row in read_lamp(folder, "lamp-4", on_bad=errors.append)] == ["0", "1", "dev0"]
    assert len(errors) == 1


def test_an_item_that_another_profile_of_the_user_has_with_other_words_is_refused(tmp_path):
    changed = [{**GROWN[0], "title": "another"}, *GROWN[1:]]
    folder = write_split(tmp_path, "lamp-4", "dev", [GROWN[:2], changed], users=["u7", "u7"])
    with pytest.raises(DataError, match="the profile of question 'dev1' shares item ids"):
        list(read_lamp(folder, "lamp-4"))


def test_a_stranger_is_never_the_same_person(tmp_path):
    users = ["u7", "u7", "u8", "u8"]
    others = make_profile("lamp-4", 3, first_id=50, dates=["2013-05-01"] * 3)
    profiles = [GROWN[:2], GROWN, others[:2], others]
    folder = write_split(tmp_path, "lamp-4", "dev", profiles, users=users)
    task = load_task("lamp-4")
    write_log(read_lamp(folder, "lamp-4"), folder / "log.jsonl")
    own = split_examples(read_log(folder / "log.jsonl", task), task, split="dev")
    strangers = with_strangers(own, seed=0)
    assert sorted((a.profile.user_id, b.profile.user_id) for a, b in zip(own, strangers, strict=True)) == [
        *[("u7", "u8")] * 2,
        *[("u8", "u7")] * 2,
    ]


@pytest.mark.parametrize("name", [7, "7"])
def test_a_user_may_be_a_number_and_is_the_same_as_its_text(name, tmp_path):
    for split, user in (("train", name), ("dev", "7")):
        write_split(tmp_path, "lamp-4", split, [GROWN], users=[user])
    assert {row["user_id"] for row in read_lamp(tmp_path, "lamp-4")} == {"7"}


@pytest.mark.parametrize("name", [" ", ["7"], True, 7.0])
def test_a_user_who_is_no_name_is_an_error(name, tmp_path):
    folder = write_split(tmp_path, "lamp-4", "dev", [GROWN], users=[name])
    with pytest.raises(DataError, match="user_id"):
        list(read_lamp(folder, "lamp-4"))


def test_times_stay_within_the_day_of_their_date(tmp_path):
    folder = write_split(tmp_path, "lamp-4", "dev", [GROWN[:n] for n in range(5)], users=["u7"] * 5)
    times = {row["id"]: row["time"] for row in read_lamp(folder, "lamp-4") if row["split"] == "history"}
    assert [time[:10] for time in times.values()] == [item["date"] for item in GROWN]
    assert datetime.fromisoformat(times["0"]) == datetime(2013, 5, 1, 0, 0, 2, tzinfo=UTC)
