"""A task as data: what it reads, shows and refuses."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaplug.config import from_mapping, write_toml
from personaplug.errors import ConfigError
from personaplug.records import Profile
from personaplug.tasks.task import (
    Columns,
    HistoryRules,
    QueryRules,
    Retrieval,
    Splitting,
    Task,
    builtin_tasks,
    load_task,
    start_of,
)
from tests.factories import make_item

NAMES = [
    *("acl-opening", "acl-pair", "acl-title", "acl-venue", "git-opening", "git-subject"),
    *(f"lamp-{number}" for number in range(1, 8)),
    *("log", "mail-subject", "sample-headlines", "sample-tags"),
]


def make_task(**parts):
    return Task(**{"name": "mine", "description": "", "kind": "generation", "metrics": ("rouge-1",)} | parts)


def test_these_tasks_are_built_in():
    assert list(builtin_tasks()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_task_fits_its_own_kind(name):
    task = load_task(name)
    metrics = {
        "classification": {"accuracy", "macro-f1"},
        "rating": {"mae", "rmse"},
        "generation": {"rouge-1", "rouge-l"},
    }
    assert task.name == name
    assert set(task.metrics) <= metrics[task.kind]
    assert bool(task.labels) == (task.kind != "generation")
    assert task.prompt.endswith("{input}")
    assert task.retrieval.prompt.endswith("{prompt}")
    assert task.prompt_text("What?", [make_item(0, "in", "out")]).endswith(task.prompt_text("What?"))


@pytest.mark.parametrize("name", NAMES)
def test_the_views_of_a_built_in_task_differ_between_items(name):
    task = load_task(name)
    assert task.view_texts(make_item(0, "a", "b")) != task.view_texts(make_item(0, "c", "d"))
    assert not any("{" in text for text in task.view_texts(make_item(0, "a", "b")))


def test_lamp_2_has_the_15_tags_of_the_benchmark():
    assert load_task("lamp-2").labels == (
        *("sci-fi", "based on a book", "comedy", "action", "twist ending", "dystopia", "dark comedy", "classic"),
        *("psychology", "fantasy", "romance", "thought-provoking", "social commentary", "violence", "true story"),
    )


def test_an_unknown_task_is_an_error_that_lists_the_known():
    with pytest.raises(ConfigError, match="there is no task 'acl-titel'") as caught:
        load_task("acl-titel")
    assert "acl-title" in caught.value.hint


def test_a_task_of_one_s_own_is_read_from_its_file(tmp_path):
    task = make_task(columns=Columns("body", "subject"), split=Splitting("time", date(2021, 1, 1), date(2022, 1, 1)))
    write_toml(task, tmp_path / "mine.toml")
    assert load_task(str(tmp_path / "mine.toml")) == task


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": []}, "at least one metric"),
        ({"metrics": ["bleu"]}, "metrics is 'bleu', not one of"),
        ({"views": []}, "at least one view"),
        ({"prompt": "Title:"}, "has no {input}"),
        ({"kind": "essay"}, "kind is 'essay', not one of"),
        ({"split": {"by": "time", "dev_from": date(2021, 1, 1)}}, "needs dev_from and test_from"),
        ({"history": {"min": 3}}, "unknown key 'min'"),
        ({"history": {"embargo_days": -1.0}}, "would show it the future"),
        ({"history": {"max_items": -1}}, "a history of 1 to -1 items"),
        ({"metrics": ["accuracy"]}, "accuracy does not measure a generation; these do: rouge-1, rouge-l"),
        ({"kind": "rating", "metrics": ["mae"]}, "mae is over all labels, and the task names none"),
        ({"retrieval": {"query": "(.*"}}, r"the query '\(\.\*' of retrieval is no regular expression"),
        ({"retrieval": {"max_items": -1}}, "max_items -1 of retrieval must be 0 or more"),
        ({"retrieval": {"input_share": 1.0}}, "input_share 1.0 from 0 to 1"),
        ({"retrieval": {"query": ".*"}}, r"the query '\.\*' of retrieval has no \(group\)"),
    ],
)
def test_an_impossible_task_is_an_error(change, message):
    values = {"name": "mine", "description": "", "kind": "generation", "metrics": ["rouge-1"]} | change
    with pytest.raises(ConfigError, match=message):
        from_mapping(Task, values, where="mine.toml")


@pytest.mark.parametrize(
    ("text", "part", "words", "output"),
    [
        ("One. Two.", "all", 0, "One. Two."),
        ("One. Two.", "first-sentence", 0, "One."),
        ("One\ntwo? Three.", "first-sentence", 0, "One two?"),
        ("A heading\n\nand text.", "first-sentence", 0, "A heading"),
        ("See v1.2 of it. Next.", "first-sentence", 0, "See v1.2 of it."),
        ("One two three.", "first-sentence", 2, "One two"),
        ("One  two\nthree", "all", 2, "One two"),
        ("", "first-sentence", 40, ""),
    ],
)
def test_the_output_is_the_part_of_the_column_that_the_task_names(text, part, words, output):
    task = make_task(columns=Columns("a", "b", output_part=part, output_words=words))
    assert task.output_of({"b": text}) == output


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ('title "On, and Off", or', "On, and Off"),
        ('title "A", title "B",', 'A", title "B'),
        ("nothing of it", "nothing of it"),
        ('only title "the start', "the start"),
        ('the end", only', "the end"),
        ('title "",', ""),
    ],
)
def test_the_query_stands_between_its_marks(text, query):
    assert make_task(query=QueryRules(after='title "', before='",')).query_text(text) == query


@given(st.text())
def test_without_marks_the_query_is_the_whole_input(text):
    assert make_task().query_text(text) == text.strip()


@given(st.text())
def test_what_a_user_wrote_is_never_a_template(text):
    task = make_task(prompt="Say {input}", views=("{input}|{output}",), retrieval=Retrieval(prompt="{items}~{prompt}"))
    item = make_item(0, "{output}{input}", "{input}{items}")
    assert task.view_texts(item) == ("{output}{input}|{input}{items}",)
    assert task.prompt_text(text, [item]) == f"{{output}}{{input}} -> {{input}}{{items}}~Say {text}"


def test_retrieved_items_are_joined_in_the_order_given():
    task = make_task(retrieval=Retrieval(item="<{input}>", separator=", ", prompt="{items}. {prompt}"))
    assert task.prompt_text("?", [make_item(0, "a"), make_item(1, "b")]) == "<a>, <b>. ?"
    assert task.prompt_text("?") == "?"


def test_retrieved_items_go_behind_words_of_the_input_where_it_has_them():
    task = make_task(prompt="Say {input}", retrieval=Retrieval(item="<{input}>", separator=", ", after="title"))
    items = [make_item(0, "a title"), make_item(1, "{input}")]
    assert task.prompt_text('the title "title"?', items) == 'Say the title, <a title>, <{input}> "title"?'
    assert task.prompt_text("untitled", items[:1]) == "Say untitle, <a title>d"
    assert task.prompt_text("a book?", items) == "<a title>, <{input}>\nSay a book?"
    assert task.prompt_text("the title?") == "Say the title?"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ('which "On X"? A: "An owl" B: "A "hen""', 'An owl A "hen"'),
        ('which "On X"? A: "An\nowl" B: "A hen"', "An\nowl A hen"),
        ('which "On X"? A: "An owl"', "On X"),
    ],
)
def test_items_are_ranked_by_the_groups_of_the_retrieval_s_query_in_an_input_that_fits_it(text, query):
    task = make_task(query=QueryRules(after='which "', before='"?'), retrieval=Retrieval(query='A: "(.*)" B: "(.*)"'))
    assert task.retrieval_query(text) == query
    assert task.query_text(text) == "On X"


@given(st.text())
def test_without_words_of_its_own_retrieval_ranks_by_the_encoder_s_query_and_searches_all_views(text):
    task, item = make_task(query=QueryRules(after="about ")), make_item(0, "in", text)
    assert task.retrieval_query(f"about {text}") == task.query_text(f"about {text}")
    assert task.search_texts(item) == task.view_texts(item)


def test_an_embargo_is_in_days_and_a_day_starts_at_midnight_utc():
    assert HistoryRules(embargo_days=1.5).embargo == timedelta(hours=36)
    assert start_of(date(2021, 1, 1)) == datetime(2021, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("most", "seen"), [(None, 2), (0, 6), (1, 1), (4, 4)])
def test_retrieval_may_rank_more_or_fewer_items_than_the_persona_sees(most, seen):
    profile = Profile("ada", tuple(make_item(day) for day in range(6)))
    task = make_task(history=HistoryRules(max_items=2), retrieval=Retrieval(max_items=most))
    assert task.searched(profile) == profile.latest(seen)
    assert task.first_shown(6) == 6 - max(seen, 2)
    assert task.for_persona().first_shown(6) == 4


def test_learned_retrieval_reads_the_date_where_the_task_says_so_and_what_word_search_reads_elsewhere():
    item = make_item(1, "in", "{date}")
    task = make_task(retrieval=Retrieval(text="{output}", learned_text="{output} {input} date: {date}"))
    assert task.learned_texts(item) == ("{date} in date: 2020-01-02",)
    assert task.search_texts(item) == ("{date}",)
    assert make_task().learned_texts(item) == make_task().search_texts(item)


@pytest.mark.parametrize(
    ("number", "words", "learned"),
    [
        (1, "in out", "in out date: 2020-01-02"),
        (2, "in", "in date: 2020-01-02"),
        (3, "in", "in date: 2020-01-02"),
        (4, "out in", "out in date: 2020-01-02"),
        (5, "out in", "out in date: 2020-01-02"),
        (6, "in", "in date: 2020-01-02"),
        (7, "out", "out date: 2020-01-02"),
    ],
)
def test_the_benchmarks_retrievers_read_titles_first_and_the_learned_ones_dates_last(number, words, learned):
    task, item = load_task(f"lamp-{number}"), make_item(1, "in", "out")  # as LaMP's own rank_profiles.py writes them
    assert " ".join(task.search_texts(item)) == words
    assert task.learned_texts(item) == (learned,)
    assert (task.retrieval.max_items, task.retrieval.keep_case, task.retrieval.similarity) == (0, True, "product")
