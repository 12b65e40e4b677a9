"""The LaMP benchmark's own files, in both forms, good and bad."""

import json

import pytest

from personaplug.data.lamp import PROFILE_FIELDS, read_lamp, write_predictions
from personaplug.data.log import read_log, write_log
from personaplug.data.split import split_examples
from personaplug.errors import ConfigError, DataError
from personaplug.plug.batch import Batcher
from personaplug.plug.run import PRESETS
from personaplug.tasks.task import load_task
from tests.lamp_files import QUESTIONS, make_profile, write_split

QUERY_TEXTS = {
    "lamp-1": "On Owls",
    "lamp-2": "An owl.",
    "lamp-3": "Good owl.",
    "lamp-4": "An owl flew.",
    "lamp-5": "We study owls.",
    "lamp-6": "Dear owl.",
    "lamp-7": "hoot",
}

# How retrieved items stand in a prompt, to the space: the strings that the benchmark's public code writes
# (github.com/LaMP-Benchmark/LaMP, LaMP/prompts/prompts.py), where all but LaMP-1's items end with a space.
RETRIEVAL_PROMPTS = {
    "lamp-1": (
        'For an author who has written the paper with the title, and "i0", and "i1" "On Owls", which reference is '
        'related? Just answer with [1] or [2] without explanation. [1]: "Night, Day" [2]: "Hens"'
    ),
    "lamp-2": 'the tag for the movie: "i0" is "o0" , and the tag for the movie: "i1" is "o1" . ' + QUESTIONS["lamp-2"],
    "lamp-3": 'o0 is the score for "i0" , and o1 is the score for "i1" . ' + QUESTIONS["lamp-3"],
    "lamp-4": '"o0" is the title for "i0" , and "o1" is the title for "i1" . ' + QUESTIONS["lamp-4"],
    "lamp-5": (
        '"o0" is a title for "i0" , and "o1" is a title for "i1" . Following the given patterns ' + QUESTIONS["lamp-5"]
    ),
    "lamp-6": '"o0" is the title for "i0" , and "o1" is the title for "i1" . ' + QUESTIONS["lamp-6"],
    "lamp-7": '"o0" , and "o1"  are written by a person. Following the given patterns ' + QUESTIONS["lamp-7"],
}
RETRIEVAL_QUERIES = QUERY_TEXTS | {"lamp-1": "Night, Day Hens"}
PUBLISHED_TEXTS = {
    "lamp-1": "i0 o0",  # title, abstract
    "lamp-2": "i0",  # description
    "lamp-3": "i0",  # text
    "lamp-4": "i0 o0",  # text, title
    "lamp-5": "o0 i0",  # title, abstract
    "lamp-6": "i0",  # text
    "lamp-7": "o0",  # text
}
SEARCHED_WORDS = {
    "lamp-1": {"i0", "o0"},  # title, abstract
    "lamp-2": {"i0"},  # description, without the tag
    "lamp-3": {"i0"},  # text, without the score
    "lamp-4": {"i0", "o0"},  # text, title
    "lamp-5": {"i0", "o0"},  # abstract, title
    "lamp-6": {"i0"},  # text, without the title
    "lamp-7": {"o0"},  # text
}


def examples_of(source, task_name, split, tmp_path):
    task = load_task(task_name)
    write_log(read_lamp(source, task_name), tmp_path / "log.jsonl")
    return split_examples(read_log(tmp_path / "log.jsonl", task), task, split=split)


@pytest.fixture(params=sorted(PROFILE_FIELDS))
def task_name(request):
    return request.param


def test_every_question_is_asked_with_its_whole_profile(task_name, tmp_path):
    profiles = [make_profile(task_name, 3), make_profile(task_name, 600, first_id=10), make_profile(task_name, 0)]
    folder = write_split(tmp_path / "data", task_name, "dev", profiles)
    examples = {example.id: example for example in examples_of(folder, task_name, "dev", tmp_path)}
    assert [examples[f"dev{n}"].target for n in range(3)] == ["answer 0", "answer 1", "answer 2"]
    assert [item.output for item in examples["dev0"].profile.items] == ["o0", "o1", "o2"]
    assert [item.input for item in examples["dev0"].profile.items] == (
        ["", "", ""] if task_name == "lamp-7" else ["i0", "i1", "i2"]
    )
    assert [item.output for item in examples["dev1"].profile.items] == [f"o{n}" for n in range(600)]
    assert examples["dev2"].profile.items == ()


def test_the_persona_is_made_of_the_latest_512_items_of_a_profile(task_name, tmp_path):
    folder = write_split(tmp_path / "data", task_name, "dev", [make_profile(task_name, 600)])
    example, task = examples_of(folder, task_name, "dev", tmp_path)[0], load_task(task_name)
    seen = Batcher(task, None, query_vectors=None).seen(example)
    assert [item.output for item in seen.items] == [f"o{n}" for n in range(88, 600)]


def test_the_query_text_is_the_question_without_its_instruction(task_name):
    assert load_task(task_name).query_text(QUESTIONS[task_name]) == QUERY_TEXTS[task_name]


def test_the_query_of_lamp_1_ends_with_the_authors_title_whatever_commas_and_quotation_marks_follow():
    text = (
        'For an author who has written the paper with the title "Owls, or "Birds", at Night", which reference is '
        'related? Just answer with [1] or [2] without explanation. [1]: "On "Hens", Mostly" [2]: "Day"'
    )
    assert load_task("lamp-1").query_text(text) == 'Owls, or "Birds", at Night'


def test_items_are_ranked_by_what_the_benchmark_ranks_by(task_name, tmp_path):
    folder = write_split(tmp_path / "data", task_name, "dev", [make_profile(task_name, 1)])
    example, task = examples_of(folder, task_name, "dev", tmp_path)[0], load_task(task_name)
    assert task.retrieval_query(example.input) == RETRIEVAL_QUERIES[task_name]
    assert set(" ".join(task.search_texts(example.profile.items[0])).split()) == SEARCHED_WORDS[task_name]


def test_the_preset_paper_encodes_of_an_item_what_the_released_code_does(task_name, tmp_path):
    folder = write_split(tmp_path / "data", task_name, "dev", [make_profile(task_name, 1)])
    item = examples_of(folder, task_name, "dev", tmp_path)[0].profile.items[0]
    task = PRESETS["paper"].form_of(load_task(task_name))
    assert task.view_texts(item)[0] == PUBLISHED_TEXTS[task_name]
    assert PRESETS["default"].form_of(task) == task


def test_a_prompt_is_the_question_as_it_stands_and_with_items_the_benchmarks(task_name, tmp_path):
    folder = write_split(tmp_path / "data", task_name, "dev", [make_profile(task_name, 2)])
    example = examples_of(folder, task_name, "dev", tmp_path)[0]
    task = load_task(task_name)
    assert task.prompt_text(example.input) == QUESTIONS[task_name]
    assert task.prompt_text(example.input, example.profile.items) == RETRIEVAL_PROMPTS[task_name]


def test_no_view_of_a_profile_item_is_empty(task_name, tmp_path):
    folder = write_split(tmp_path / "data", task_name, "dev", [make_profile(task_name, 2)])
    item = examples_of(folder, task_name, "dev", tmp_path)[0].profile.items[0]
    assert all(load_task(task_name).view_texts(item))


def test_a_test_question_needs_no_output(tmp_path):
    folder = write_split(tmp_path / "data", "lamp-3", "test", [make_profile("lamp-3", 2)], with_outputs=False)
    example = examples_of(folder, "lamp-3", "test", tmp_path)[0]
    assert (example.id, example.target, len(example.profile.items)) == ("test0", None, 2)


def test_a_folder_gives_all_its_splits_and_a_file_only_its_own(tmp_path):
    for split in ("train", "dev", "test"):
        folder = write_split(tmp_path / "data", "lamp-2", split, [make_profile("lamp-2", 2)])
    splits = [row["split"] for row in read_lamp(folder, "lamp-2")]
    assert splits == ["history", "history", "train", "dev", "test"]
    splits = [row["split"] for row in read_lamp(folder / "dev_questions.json", "lamp-2")]
    assert splits == ["history", "history", "dev"]


def test_questions_on_the_same_profile_are_one_users_and_do_not_see_each_other(tmp_path):
    profile = make_profile("lamp-4", 3)
    other = make_profile("lamp-4", 3, first_id=50)
    folder = write_split(tmp_path / "data", "lamp-4", "train", [profile, profile[::-1], other])
    one, two, three = examples_of(folder, "lamp-4", "train", tmp_path)
    assert len({example.profile.user_id for example in (one, two, three)}) == 2
    assert all(len(example.profile.items) == 3 for example in (one, two, three))


def test_items_with_dates_are_ordered_by_them(tmp_path):
    profile = make_profile("lamp-5", 5, dates=["2011-3-2", 2009, "2011-03-01", "2010-12", "2011-03-02T10:00:00Z"])
    folder = write_split(tmp_path / "data", "lamp-5", "dev", [profile])
    example = examples_of(folder, "lamp-5", "dev", tmp_path)[0]
    assert [item.output for item in example.profile.items] == ["o1", "o3", "o2", "o0", "o4"]


def test_items_of_one_date_stand_in_the_order_of_the_file_not_of_their_ids(tmp_path):
    profile = make_profile("lamp-5", 4, dates=["2011", "2011", "2010", "2011"])
    for item, name in zip(profile, ("710", "72", "9", "8"), strict=True):
        item["id"] = name
    folder = write_split(tmp_path / "data", "lamp-5", "dev", [profile])
    example = examples_of(folder, "lamp-5", "dev", tmp_path)[0]
    assert [item.id for item in example.profile.items] == ["9", "710", "72", "8"]


def test_half_a_surrogate_pair_in_a_tweet_is_replaced(tmp_path):
    folder = write_split(tmp_path / "data", "lamp-7", "dev", [[{"id": "0", "text": "hoot \ud83e"}]])
    item = examples_of(folder, "lamp-7", "dev", tmp_path)[0].profile.items[0]
    assert item.output == "hoot \ufffd"


def read(source, task_name="lamp-3"):
    return list(read_lamp(source, task_name))


@pytest.fixture
def folder(tmp_path):
    return write_split(tmp_path / "LaMP_3", "lamp-3", "dev", [make_profile("lamp-3", 2)] * 2)


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_an_output_without_a_question_is_an_error(folder):
    edit(folder / "dev_questions.json", lambda questions: questions.pop())
    with pytest.raises(DataError, match=r"dev_questions.json: has no question 'dev1', but there is an output for it"):
        read(folder)


def test_a_question_without_an_output_is_an_error(folder):
    edit(folder / "dev_outputs.json", lambda content: content["golds"].pop())
    with pytest.raises(DataError, match=r"dev_questions.json:1: the question 'dev1' has no output"):
        read(folder)


def test_questions_without_an_outputs_file_are_an_error_except_in_test(folder):
    (folder / "dev_outputs.json").unlink()
    with pytest.raises(DataError, match=r"dev_outputs.json: there is no such file"):
        read(folder)


def test_outputs_of_another_task_are_an_error(folder):
    edit(folder / "dev_outputs.json", lambda content: content.update(task="LaMP_4"))
    with pytest.raises(DataError, match="outputs of 'LaMP_4', not of lamp-3"):
        read(folder)


@pytest.mark.parametrize("content", ['{"task": "LaMP_3"}', '{"task": "LaMP_3", "golds": [{"id": "1"}]}', "[]", "7"])
def test_outputs_of_another_form_are_an_error(content, folder):
    (folder / "dev_outputs.json").write_text(content)
    with pytest.raises(DataError, match="not an outputs file"):
        read(folder)


@pytest.mark.parametrize(
    "content", [b'{"task":\n oh', b'{"task": "caf\xe9"}', b"[" * 200_000], ids=lambda content: content[:9]
)
def test_broken_outputs_are_an_error(content, folder):
    (folder / "dev_outputs.json").write_bytes(content)
    with pytest.raises(DataError, match=r"broken JSON|cannot be read"):
        read(folder)


def test_questions_nested_too_deep_are_an_error_that_names_the_file(folder):
    (folder / "dev_questions.json").write_text('[{"id": "dev0", "profile": ' + "[" * 200_000)
    with pytest.raises(DataError, match=r"dev_questions\.json:1: the element that begins here is broken"):
        read(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "the question has no 'id'"),
        ({"id": "dev0"}, "two questions 'dev0'"),
        ({"input": ["a"]}, "the question has no 'input' that is text"),
        ({"profile": None}, "the profile of question 'dev1' is not a list"),
        ({"profile": ["text"]}, "the profile of question 'dev1' is not a list"),
        ({"profile": [{"id": "1", "text": "t"}]}, "a profile item has no 'score'"),
        ({"profile": [{"id": "1", "text": "t", "score": "5", "date": "soon"}]}, "a date in the profile cannot be read"),
        (
            {"profile": [{"id": "1", "text": "t", "score": score} for score in "12"]},
            "the profile of question 'dev1' has two different items of the id '1'",
        ),
        (
            {"profile": [*make_profile("lamp-3", 2), {"id": "dev1", "text": "t", "score": "1"}]},
            "an item of the profile",
        ),
        (
            {"profile": [{**item, "text": "other"} for item in make_profile("lamp-3", 2)]},
            "the profile of question 'dev1' shares item ids",
        ),
        ({"user_id": "ada"}, "the question has a user_id, the first of the file has no user_id"),
    ],
)
def test_a_bad_question_is_named_and_can_be_left_out(change, message, folder):
    edit(folder / "dev_questions.json", lambda questions: questions[1].update(change))
    with pytest.raises(DataError, match=rf"dev_questions.json:1: .*{message}"):
        read(folder)
    errors = []
    rows = list(read_lamp(folder, "lamp-3", on_bad=errors.append))
    assert [row["id"] for row in rows if row["split"] == "dev"] == ["dev0"]
    assert errors


def test_an_item_that_stands_twice_in_a_profile_counts_once_and_is_told(folder, tmp_path):
    edit(folder / "dev_questions.json", lambda questions: questions[0]["profile"].append(questions[0]["profile"][0]))
    told = []
    rows = list(read_lamp(folder, "lamp-3", on_skip=told.append))
    assert [row["id"] for row in rows] == ["0", "1", "dev0", "dev1"]
    assert told == ["that stand twice in a profile"]
    assert len(examples_of(folder, "lamp-3", "dev", tmp_path)) == 2


def test_a_log_of_what_was_not_left_out_can_be_evaluated(folder, tmp_path):
    """Else one repeated id would make `evaluate` refuse every row of the log."""
    twice = [{"id": "1", "text": text, "score": "5"} for text in ("good", "bad")]
    edit(folder / "dev_questions.json", lambda questions: questions[0].update(profile=twice))
    write_log(read_lamp(folder, "lamp-3", on_bad=lambda _: None), tmp_path / "log.jsonl")
    task = load_task("lamp-3")
    assert [each.id for each in split_examples(read_log(tmp_path / "log.jsonl", task), task, split="dev")] == ["dev1"]


def test_one_id_for_two_questions_of_a_user_is_an_error(tmp_path):
    for split in ("train", "dev"):
        folder = write_split(tmp_path / "data", "lamp-3", split, [make_profile("lamp-3", 2)])
        edit(folder / f"{split}_questions.json", lambda questions: questions[0].update(id="7"))
        edit(folder / f"{split}_outputs.json", lambda content: content["golds"][0].update(id="7"))
    assert len(read(folder)) == 4  # the same question, asked in both
    edit(folder / "dev_outputs.json", lambda content: content["golds"][0].update(output="another"))
    with pytest.raises(DataError, match="another question of the same user has the id of the question '7'"):
        read(folder)


def framed(folder, name="LaMP_6"):
    path = folder / "test_questions.json"
    path.write_text(json.dumps({"task": name, "golds": json.loads(path.read_text())}))


def test_questions_in_a_frame_as_the_benchmarks_generator_writes_lamp_6s_test_are_read(tmp_path):
    folder = write_split(tmp_path, "lamp-6", "test", [make_profile("lamp-6", 2)], with_outputs=False)
    bare = read(folder, "lamp-6")
    framed(folder)
    assert read(folder, "lamp-6") == bare
    assert len(bare) == 3


def test_questions_in_a_frame_of_another_task_are_an_error(tmp_path):
    folder = write_split(tmp_path, "lamp-6", "test", [make_profile("lamp-6", 2)], with_outputs=False)
    framed(folder, "LaMP_4")
    with pytest.raises(DataError, match="questions of 'LaMP_4', not of lamp-6"):
        read(folder, "lamp-6")


def test_a_folder_without_question_files_and_a_file_of_another_name_are_errors(tmp_path):
    with pytest.raises(DataError, match="no question files") as caught:
        read(tmp_path)
    assert "train_questions.json" in caught.value.hint
    (tmp_path / "questions.json").write_text("[]")
    with pytest.raises(DataError, match="does not say which split"):
        read(tmp_path / "questions.json")
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "nowhere")


def test_a_task_that_is_not_lamps_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="'lamp-8' is no task of LaMP"):
        read(tmp_path, "lamp-8")


def test_predictions_have_the_form_of_official_outputs(tmp_path):
    write_predictions("lamp-3", [("110", "5"), ("111", "1")], path=tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == {
        "task": "LaMP_3",
        "golds": [{"id": "110", "output": "5"}, {"id": "111", "output": "1"}],
    }
    with pytest.raises(DataError, match="cannot be written"):
        write_predictions("lamp-3", [], path=tmp_path / "none" / "out.json")
    with pytest.raises(ConfigError):
        write_predictions("log", [], path=tmp_path / "out.json")
