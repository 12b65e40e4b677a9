"""What the language model said is asked once, through crashes too."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaplug.rivals.learned_retrieval.score_cache import ScoreCache, ScoreRequest

SECRET = "a user's own words"


def asking(asked):
    """Say how long a prompt is, and remember the batches asked."""

    def ask(questions):
        asked.append([question.prompt for question in questions])
        return [float(len(question.prompt)) for question in questions]

    return ask


@given(st.lists(st.text(max_size=5), max_size=30), st.integers(1, 7))
def test_answers_come_in_the_order_of_the_questions_and_each_is_asked_once(tmp_path_factory, prompts, batch_size):
    asked = []
    cache = ScoreCache(asking(asked), tmp_path_factory.mktemp("said") / "said.jsonl", batch_size=batch_size)
    for _ in range(2):
        assert cache([ScoreRequest(prompt) for prompt in prompts]) == [len(prompt) for prompt in prompts]
    assert sorted(prompt for batch in asked for prompt in batch) == sorted(set(prompts))
    assert all(len(batch) <= batch_size for batch in asked)


def test_one_prompt_with_two_right_answers_is_two_questions(tmp_path):
    cache = ScoreCache(lambda questions: [q.target for q in questions], tmp_path / "said", batch_size=8)
    assert cache([ScoreRequest("p", "yes"), ScoreRequest("p", "no")]) == ["yes", "no"]


def test_what_was_said_outlives_the_process_without_any_text_of_a_question(tmp_path):
    questions = [ScoreRequest(f"{SECRET} {number}", SECRET) for number in range(10)]
    said = ScoreCache(asking([]), tmp_path / "said", batch_size=3)(questions)
    again = ScoreCache(lambda _: pytest.fail("asked again"), tmp_path / "said", batch_size=3)
    assert again(questions) == said
    assert SECRET not in (tmp_path / "said").read_text()


@pytest.mark.parametrize("lost", [1, 20, 60])
def test_after_a_crash_the_same_batches_are_asked_as_without_it(tmp_path, lost):
    questions = [ScoreRequest("x" * number) for number in range(10)]
    whole, asked = [], []
    ScoreCache(asking(whole), tmp_path / "said", batch_size=3)(questions)
    written = (tmp_path / "said").read_bytes()
    (tmp_path / "said").write_bytes(written[:-lost])
    said = ScoreCache(asking(asked), tmp_path / "said", batch_size=3)(questions)
    assert said == list(range(10))
    assert asked == whole[len(whole) - len(asked) :]
    assert [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()] == [
        json.loads(line) for line in written.splitlines()
    ]


def test_progress_is_told_of_what_is_newly_asked(tmp_path):
    told = []
    cache = ScoreCache(asking([]), tmp_path / "said", batch_size=2)
    cache([ScoreRequest("a")])
    cache([ScoreRequest(prompt) for prompt in "abcdef"], on_progress=lambda *now: told.append(now))
    assert told == [(2, 5), (4, 5), (5, 5)]
