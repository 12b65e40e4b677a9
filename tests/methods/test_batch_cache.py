"""What is remembered of the batch that was asked about last."""

from dataclasses import replace

import pytest

from personaplug.methods.batch_cache import BatchCache


@pytest.fixture
def made():
    return []


@pytest.fixture
def last(made):
    def make(examples):
        made.append(examples)
        return [example.id for example in examples]

    return BatchCache(make)


def test_what_else_is_asked_of_the_same_examples_is_not_made_again(last, made, examples):
    answers = last.anew(examples)
    assert last(list(examples)) == answers == [example.id for example in examples]
    assert len(made) == 1


def test_what_is_timed_is_made_anew(last, made, examples):
    last(examples)
    last.anew(examples)
    assert len(made) == 2


@pytest.mark.parametrize(
    "others",
    [
        pytest.param(lambda examples: examples[:-1], id="fewer"),
        pytest.param(lambda examples: examples[::-1], id="in another order"),
        pytest.param(lambda examples: [replace(example) for example in examples], id="equal ones"),
    ],
)
def test_other_examples_are_made_for_themselves(last, made, examples, others):
    last(examples)
    assert last(others(examples)) == [example.id for example in others(examples)]
    assert len(made) == 2


def test_what_fails_leaves_nothing_of_the_examples_before(made, examples):
    def make(asked):
        made.append(asked)
        if len(made) == 2:
            raise ZeroDivisionError
        return len(asked)

    last = BatchCache(make)
    last(examples)
    with pytest.raises(ZeroDivisionError):
        last.anew(examples)
    assert last(examples) == len(examples)
    assert len(made) == 3
