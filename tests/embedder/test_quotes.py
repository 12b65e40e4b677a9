"""The persona that quotes; the laws of every persona are in test_user_embedder.py."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.embedder.embedder_config import EmbedderConfig
from tests.embedder.histories import (
    PLACES,
    as_if_trained,
    few,
    fresh_embedder,
    only,
    pack,
    random_history,
    random_queries,
)

MOST = 3
COUNTS, SEEDS = st.integers(0, 6), st.integers(0, 99)


def fresh():
    config = EmbedderConfig(
        made_of="quotes",
        quotes=MOST,
        output_tokens=PLACES - 1,
        instructions=0,
        is_residual=False,
        nobody="nothing",
    )
    return fresh_embedder(config)


def words_of(history, query):
    """By hand: the words of the likest items, the likest item last."""
    cosines = history.vectors[:, 0] @ query
    best = sorted(range(len(cosines)), key=lambda item: float(cosines[item]))[-MOST:]
    return [vector for item in best for vector in history.wording.vectors[item][history.wording.mask[item]]]


@few
@given(count=COUNTS, seed=SEEDS)
def test_a_fresh_persona_is_the_very_words_of_the_likest_items_and_the_likest_stands_last(count, seed):
    model, history, queries = fresh(), random_history(count, seed=seed), random_queries(1, seed=seed)
    batch = pack(history)
    made, there = model(queries, batch), model.is_there(model.chosen(queries, batch))
    expected = words_of(history, queries[0])
    assert made[there].tolist() == [word.tolist() for word in expected]
    assert not made[~there].any()


@few
@given(count=st.integers(1, 6), seed=SEEDS)
def test_a_trained_persona_is_each_word_and_what_the_map_makes_of_it(count, seed):
    model, history, queries = as_if_trained(fresh()), random_history(count, seed=seed), random_queries(1, seed=seed)
    words, there = torch.stack(words_of(history, queries[0])), model.is_there(model.chosen(queries, pack(history)))
    expected = words + words @ model.projector.outer.detach().T
    torch.testing.assert_close(model(queries, pack(history))[there], expected)


def test_an_item_without_a_word_takes_no_quotes_room():
    model, history, queries = fresh(), random_history(5, seed=1), random_queries(1, seed=1)
    likest = int((history.vectors[:, 0] @ queries[0]).argmax())
    history.wording.mask[likest] = False
    there = model.is_there(model.chosen(queries, pack(history)))
    rest = [item for item in range(5) if item != likest]
    expected = words_of(only(history, rest), queries[0])
    assert model(queries, pack(history))[there].tolist() == [word.tolist() for word in expected]
    assert model.weights(queries, pack(history))[0, 0, likest] == 0


def test_items_that_are_quoted_weigh_alike_and_the_rest_nothing():
    model, history, queries = fresh(), random_history(5, seed=1), random_queries(1, seed=1)
    weights = model.weights(queries, pack(history))[0]
    best = (history.vectors[:, 0] @ queries[0]).topk(MOST).indices
    expected = torch.zeros(5).index_fill(0, best, 1 / MOST)
    torch.testing.assert_close(weights, expected[None])
