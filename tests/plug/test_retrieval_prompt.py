"""Retrieved items in a prompt: which, where and how much of each."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.methods.input_prompt import InputPrompt
from personaplug.plug.prompts import Prompts
from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.plug.retrievers import by_words
from personaplug.records import Example, HistoryItem, Profile
from personaplug.retrieval.bm25 import BM25Retriever
from personaplug.retrieval.dense import DenseRetriever
from personaplug.retrieval.recency import RecencyRetriever
from personaplug.tasks.task import HistoryRules, QueryRules, Retrieval, Task
from tests import tiny
from tests.factories import START, make_item
from tests.world import NOW

TASK = Task(
    name="any",
    description="Any.",
    kind="generation",
    metrics=("rouge-1",),
    prompt="Answer: {input}",
    query=QueryRules(after="about "),
    retrieval=Retrieval(item="<{input}|{output}>", separator=" & ", prompt="{items} ; {prompt}"),
    history=HistoryRules(max_items=5),
)

texts = st.text("ab \n{}é語", max_size=60) | st.lists(st.sampled_from(["word", "longer", "語" * 70]), max_size=30).map(
    " ".join
)
profiles = st.lists(st.tuples(texts, texts), max_size=8).map(
    lambda pairs: Profile("ada", tuple(make_item(day, *pair) for day, pair in enumerate(pairs)))
)


def characters(text):
    """Count tokens as a language model would whose tokens are characters."""
    return len(text)


def ask(text, profile):
    return Example("1", profile, text, None, NOW)


def remember(*pairs):
    return Profile("ada", tuple(make_item(day, *pair) for day, pair in enumerate(pairs)))


def write(profile, text="what about tea", *, task=TASK, retriever=None, k=2, item_tokens=1000, count=characters):
    prompts = RetrievalPrompt(task, retriever or RecencyRetriever(), k, item_tokens, count, str, 999)
    return prompts.write([ask(text, profile)])[0]


def test_the_best_item_stands_first_and_the_input_last():
    profile = remember(("old news", "1"), ("all about tea", "2"), ("new weather", "3"))
    by_input = BM25Retriever(lambda item: item.input)
    assert write(profile) == "<new weather|3> & <all about tea|2> ; Answer: what about tea"
    assert write(profile, retriever=by_input).startswith("<all about tea|2>")


def test_items_are_ranked_by_the_query_not_by_the_words_around_it():
    profile = remember(("a cup of tea", "1"), ("what what what", "2"), ("rain", "3"))
    assert write(profile, retriever=BM25Retriever(lambda item: item.input), k=1).startswith("<a cup of tea|1>")


def test_items_are_ranked_by_the_words_that_the_task_gives_retrieval_where_it_gives_any():
    profile = remember(("a cup of tea", "rain"), ("what what what", "tea"), ("rain", "tea"), ("snow", "what"))
    task = replace(TASK, retrieval=replace(TASK.retrieval, text="{input}", query="(.*) about"))
    assert write(profile, task=task, retriever=by_words(task), k=1).startswith("<what what what|tea>")
    assert write(profile, "a cup about rain", task=task, retriever=by_words(task), k=1).startswith(
        "<a cup of tea|rain>"
    )


@pytest.mark.parametrize("k", [3, 4, 99])
def test_more_items_than_there_are_is_all_of_them(k):
    profile = remember(("a", "1"), ("b", "2"), ("c", "3"))
    assert write(profile, k=k) == "<c|3> & <b|2> & <a|1> ; Answer: what about tea"


def test_without_history_the_prompt_is_the_plain_one():
    assert write(Profile("nobody")) == TASK.prompt_text("what about tea")


def test_only_the_items_that_the_task_lets_a_query_see_are_ranked():
    profile = remember(*((f"tea {day}", "") for day in range(7)))
    assert write(profile, k=99).count("<") == TASK.history.max_items
    assert "tea 1" not in write(profile, k=99)


def test_word_search_may_find_what_is_older_than_all_that_the_persona_sees():
    profile = remember(("a cup of tea", ""), *((f"rain {day}", "") for day in range(9)))
    whole = replace(TASK, retrieval=replace(TASK.retrieval, max_items=0))
    assert write(profile, retriever=by_words(TASK), k=1).startswith("<rain 8|")
    assert write(profile, task=whole, retriever=by_words(whole), k=1).startswith("<a cup of tea|")


@settings(max_examples=50)
@given(profile=profiles, text=texts, k=st.integers(1, 9), item_tokens=st.integers(1, 80))
def test_the_input_is_never_shortened(profile, text, k, item_tokens):
    assert write(profile, text, k=k, item_tokens=item_tokens).endswith(TASK.prompt_text(text))


@settings(max_examples=50)
@given(profile=profiles, k=st.integers(1, 9), item_tokens=st.integers(1, 80))
def test_an_item_is_as_short_as_asked_or_a_word_of_input_and_of_output(profile, k, item_tokens):
    shown = shown_items(profile, k=k, item_tokens=item_tokens)
    assert len(shown) == min(k, len(profile.items), TASK.history.max_items)
    for item in shown:
        is_short = characters(TASK.item_text(item) + TASK.retrieval.separator) <= item_tokens
        assert is_short or max(map(words, (item.input, item.output))) <= 1


@settings(max_examples=50)
@given(profile=profiles, k=st.integers(1, 9), item_tokens=st.integers(1, 80))
def test_what_is_left_of_an_item_is_its_beginning(profile, k, item_tokens):
    latest_first = reversed(profile.latest(TASK.history.max_items).items)
    for shown, whole in zip(shown_items(profile, k=k, item_tokens=item_tokens), latest_first, strict=False):
        assert (shown.id, shown.time) == (whole.id, whole.time)
        assert one_line(whole.input).startswith(one_line(shown.input))
        assert one_line(whole.output).startswith(one_line(shown.output))


def test_an_item_that_fits_stays_as_it_is_white_space_too():
    item = HistoryItem("1", " two\nlines ", "an answer", START)
    room = characters(TASK.item_text(item) + TASK.retrieval.separator)
    assert shown_items(Profile("ada", (item,)), k=1, item_tokens=room) == [item]
    assert shown_items(Profile("ada", (item,)), k=1, item_tokens=room - 1) != [item]


def test_room_that_items_leave_is_not_the_inputs():
    writer = RetrievalPrompt(TASK, RecencyRetriever(), 1, 99, characters, lambda prompt: prompt[:9], 999)
    cut = TASK.prompt_text("what about tea")[:9]
    beside, alone = writer.write(
        [ask("what about tea", remember(("tea", "yes"))), ask("what about tea", Profile("ada"))]
    )
    assert beside.endswith(f" {cut}")
    assert alone == cut


@pytest.mark.parametrize("positions", [None, 400])
@pytest.mark.parametrize("k", [1, 3])
def test_an_item_of_all_the_tokens_that_it_may_have_stays_whole_beside_a_whole_input(k, positions):
    chat, asked = tiny.decoder_only(use_chat_template=True), "what about tea " * 20
    items = remember(*[("tea " * 7, "yes")] * 4)
    length = len("<" + "tea " * 7 + "|yes> & ")
    writer = RetrievalPrompt.of(
        TASK, RecencyRetriever(), backbone=chat, k=k, item_tokens=length, beside=200, positions=positions
    )
    (prompt,) = writer.write([ask(asked, items)])
    assert prompt.count("<" + "tea " * 7 + "|yes>") == k
    assert prompt.endswith(chat.cut(TASK.prompt_text(asked), max_tokens=200))
    assert chat.cut(prompt, max_tokens=writer.max_tokens) == prompt
    assert writer.max_tokens == 200 + len(" ; ") + length * k


@pytest.mark.parametrize("backbone", [tiny.encoder_decoder(), tiny.decoder_only(use_chat_template=True)])
def test_items_whose_own_words_take_all_the_room_leave_the_input_whole(backbone):
    wordy = replace(TASK.retrieval, item="of what this person once wrote " * 4 + "{input}|{output}")
    task = replace(TASK, retrieval=wordy)
    writer = RetrievalPrompt.of(
        task, RecencyRetriever(), backbone=backbone, k=4, item_tokens=10, beside=60, positions=200
    )
    profile = remember(*[("question", "answer")] * 4)
    (written,) = writer.write([ask("asked last", profile)])
    assert written.endswith("asked last")
    assert backbone.count_tokens(written) <= writer.max_tokens


@pytest.mark.parametrize("share", [0.0, 0.6])
@pytest.mark.parametrize("has_items", [True, False])
@pytest.mark.parametrize("prompt", ["Ticket: {input}\nWrite the reply now:", "{input} {input} ends"])
def test_words_behind_the_input_are_never_cut_off_by_a_long_input(prompt, has_items, share):
    backbone = next(iter(tiny.FAMILIES.values()))()
    task = replace(TASK, prompt=prompt, retrieval=replace(TASK.retrieval, input_share=share))
    writer = RetrievalPrompt.of(
        task, RecencyRetriever(), backbone=backbone, k=2, item_tokens=10, beside=60, positions=200
    )
    profile = remember(*[("question", "answer")] * (2 if has_items else 0))
    plain = Prompts(task, 60, cut=writer.cut).plain
    for write in (writer.write, InputPrompt(task, writer.cut, 60).write, plain):
        (written,) = write([ask("the printer burns " * 100, profile)])
        assert written.endswith(prompt.rpartition("{input}")[2])
        assert "the p" in written
        assert backbone.count_tokens(written) <= (writer.max_tokens if write == writer.write else 60)


def test_of_no_examples_there_are_no_prompts_and_nothing_is_encoded():
    dense = DenseRetriever(lambda _: pytest.fail("encoded"), lambda _: pytest.fail("encoded"))
    assert RetrievalPrompt(TASK, dense, 2, 40, characters, str, 999).write([]) == []


def test_a_text_without_spaces_is_shortened_too():
    (item,) = shown_items(remember(("語" * 10_000, "yes")), k=1, item_tokens=64)
    assert 16 <= len(item.input) <= 64


def shown_items(profile, *, k, item_tokens):
    """Catch the items as they enter the prompt."""
    caught = []

    class Catching(Task):
        def with_items(self, prompt, items):
            caught.extend(items)
            return super().with_items(prompt, items)

    fields = {name: getattr(TASK, name) for name in TASK.__dataclass_fields__}
    write(profile, task=Catching(**fields), k=k, item_tokens=item_tokens)
    return caught


def words(text):
    return len(text.split())


def one_line(text):
    return " ".join(text.split())
