import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaplug.plug.run import TrainingConfig
from personaplug.records import Example, Profile
from personaplug.training import batches
from personaplug.training.batches import LengthGroupedSampler, TrainingSet, count_tokens
from tests.factories import START, make_items
from tests.training.fit import build

LENGTHS = st.lists(st.integers(0, 500), min_size=1, max_size=60)


def draws_of(lengths, *, batch_size, seed=0, epoch=0):
    draws = LengthGroupedSampler(lengths, batch_size=batch_size, seed=seed)
    draws.set_epoch(epoch)
    return list(draws)


def padding_of(order, lengths, *, batch_size):
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return sum(max(lengths[at] for at in batch) * len(batch) - sum(lengths[at] for at in batch) for batch in batches)


@given(lengths=LENGTHS, batch_size=st.integers(1, 9), seed=st.integers(0, 99), epoch=st.integers(0, 4))
def test_an_epoch_draws_every_example_exactly_once(lengths, batch_size, seed, epoch):
    draws = draws_of(lengths, batch_size=batch_size, seed=seed, epoch=epoch)
    first = epoch * len(lengths)
    assert sorted(draws) == list(range(first, first + len(lengths)))
    assert len(LengthGroupedSampler(lengths, batch_size=batch_size, seed=seed)) == len(lengths)


def test_a_batch_holds_examples_of_similar_length():
    draw = random.Random(0)
    lengths = [draw.randrange(500) for _ in range(1000)]
    grouped = padding_of(draws_of(lengths, batch_size=10), lengths, batch_size=10)
    shuffled = draw.sample(range(1000), 1000)
    assert grouped < padding_of(shuffled, lengths, batch_size=10) / 10


def test_long_and_short_batches_come_in_random_order():
    firsts = draws_of(list(range(400)), batch_size=10)[::10]
    assert firsts != sorted(firsts)
    assert firsts != sorted(firsts, reverse=True)


def test_the_order_repeats_with_its_seed_and_changes_with_seed_and_epoch():
    lengths = list(range(40))
    first = draws_of(lengths, batch_size=4)
    assert first == draws_of(lengths, batch_size=4)
    assert first != draws_of(lengths, batch_size=4, seed=1)
    assert first != [draw - 40 for draw in draws_of(lengths, batch_size=4, epoch=1)]


@pytest.fixture
def example():
    return Example("1", Profile("ada", make_items(*map(str, range(20)))), "a question", "an answer", START)


def test_another_epoch_sees_another_part_of_a_history_and_the_same_draw_the_same(example):
    draws = TrainingSet([example], seed=0, drops_history=True)
    parts = [draws[epoch].profile.items for epoch in range(10)]
    assert len(set(parts)) > 5
    assert parts == [TrainingSet([example], seed=0, drops_history=True)[epoch].profile.items for epoch in range(10)]
    assert parts != [TrainingSet([example], seed=1, drops_history=True)[epoch].profile.items for epoch in range(10)]


def test_without_dropout_every_draw_sees_the_whole_example(example):
    draws = TrainingSet([example, example], seed=0, drops_history=False)
    assert len(draws) == 2
    assert all(draws[draw] == example for draw in range(6))


def test_an_example_is_as_long_as_all_that_the_language_model_reads_and_writes_of_it(
    models, family, store, example, monkeypatch
):
    monkeypatch.setattr(batches, "_BLOCK", 3)
    plug = build(models, family, store, TrainingConfig(max_input_tokens=20, max_output_tokens=5))
    examples = [replace(example, input="🙂" * count, target="x" * (8 - count)) for count in range(1, 9)]
    inputs = plug.backbone.embed(plug.batcher.prompts.plain(examples), max_tokens=20)
    answers = plug.backbone.score(inputs, [each.target for each in examples], max_tokens=5).tokens
    assert count_tokens(plug, examples) == (inputs.mask.sum(dim=1) + answers).tolist()
