"""Each switch of the embedder leaves out what it says: docs/ablations.md."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.embedder.embedder_config import PAPER, EmbedderConfig
from personaplug.embedder.history import History
from personaplug.embedder.user_embedder import UserEmbedder
from tests.embedder.histories import (
    DIM,
    LLM_DIM,
    VIEWS,
    as_if_trained,
    few,
    only,
    pack,
    random_histories,
    random_history,
    random_queries,
)

PRESETS = {"default": EmbedderConfig(), "paper": PAPER}
COUNTS = st.lists(st.integers(0, 7), min_size=1, max_size=5)


@pytest.fixture(params=list(PRESETS))
def build(request):
    """Build an embedder as if trained, of either preset with some settings changed."""

    def make(**settings):
        torch.manual_seed(0)
        config = replace(PRESETS[request.param], **settings)
        return as_if_trained(UserEmbedder(config, views=VIEWS, dim=DIM, llm_dim=LLM_DIM, embedding_norm=5.0))

    return make


def trained(embedder):
    return {name: weight for name, weight in embedder.named_parameters() if weight.requires_grad and weight.numel()}


def test_without_instructions_the_prefix_is_the_persona_and_none_of_their_weights_is_left(build):
    embedder = build(instructions=0)
    prefix = embedder(random_queries(1, seed=0), pack(random_history(3, seed=0)))
    assert prefix.shape == (1, embedder.config.personas, LLM_DIM)
    assert not [name for name in trained(embedder) if name.startswith("instruction")]


@few
@given(counts=COUNTS, seed=st.integers(0, 99))
def test_under_mean_pooling_every_item_weighs_alike_and_the_query_changes_nothing(counts, seed):
    config = EmbedderConfig(weighting="mean")
    embedder = as_if_trained(UserEmbedder(config, views=VIEWS, dim=DIM, llm_dim=LLM_DIM, embedding_norm=5.0))
    history = pack(*random_histories(counts, seed=seed))
    one, other = (random_queries(len(counts), seed=each) for each in (seed, seed + 1))
    for row, count in enumerate(counts):
        expected = [1 / count] * count + [0.0] * (max(counts) - count) if count else [0.0] * max(counts)
        for weights in embedder.weights(one, history)[row].tolist():
            assert weights == pytest.approx(expected)
    assert torch.equal(embedder(one, history), embedder(other, history))


def test_mean_pooling_leaves_nothing_to_learn_of_queries_or_temperatures(build):
    embedder = build(weighting="mean")
    assert not [name for name in trained(embedder) if name.startswith(("aggregator", "query_map"))]
    assert not embedder.config.trains_query_encoder


def test_without_temperature_weights_are_the_softmax_of_the_cosines():
    config = EmbedderConfig(temperature=1.0, learn_temperature=False, use_query_map=False, use_recency=False)
    embedder = as_if_trained(UserEmbedder(config, views=VIEWS, dim=DIM, llm_dim=LLM_DIM, embedding_norm=5.0))
    query, history = random_queries(1, seed=3), random_history(6, seed=3)
    expected = (history.vectors[:, 0] @ query[0]).softmax(dim=0).expand(1, config.personas, -1)
    torch.testing.assert_close(embedder.weights(query, pack(history)), expected)


@pytest.mark.parametrize("by", ["latest", "similar"])
def test_of_k_items_the_persona_is_what_a_history_of_these_alone_gives(build, by):
    embedder, whole = build(items=3, items_by=by), build()
    query, history = random_queries(1, seed=4), random_history(9, seed=4)
    cosines = (history.vectors[:, 0] @ query[0]).tolist()
    places = sorted(range(9), key=lambda place: cosines[place])[-3:] if by == "similar" else [6, 7, 8]
    alone = whole(query, pack(only(history, sorted(places))))
    torch.testing.assert_close(embedder(query, pack(history)), alone, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(whole(query, pack(history)), alone, atol=1e-3)


@pytest.mark.parametrize("by", ["latest", "similar"])
def test_where_items_are_chosen_an_empty_history_still_gives_the_generic_persona(build, by):
    embedder = build(items=1, items_by=by)
    prefix = embedder(random_queries(2, seed=5), pack(*random_histories([0, 4], seed=5)))
    persona = prefix[0, embedder.config.instructions :]
    assert torch.equal(persona, embedder.generic(1)[0])


@pytest.mark.parametrize(("values", "sees_outputs"), [("first", False), ("all", True)])
def test_outputs_are_hidden_exactly_where_the_first_view_alone_is_read(build, values, sees_outputs):
    embedder, query, history = build(values=values), random_queries(1, seed=6), random_history(4, seed=6)
    other = random_history(4, seed=7).vectors[:, 1]
    changed = History(torch.stack([history.vectors[:, 0], other], dim=1), history.ages)
    same = torch.equal(embedder(query, pack(changed)), embedder(query, pack(history)))
    assert same != sees_outputs


def test_of_a_query_encoder_frozen_without_a_map_nothing_learns():
    config = EmbedderConfig(query_encoder="frozen", use_query_map=False)
    embedder = UserEmbedder(config, views=VIEWS, dim=DIM, llm_dim=LLM_DIM, embedding_norm=5.0)
    assert not config.trains_query_encoder
    assert not [name for name in trained(embedder) if "query" in name]
    mapped = UserEmbedder(EmbedderConfig(), views=VIEWS, dim=DIM, llm_dim=LLM_DIM, embedding_norm=5.0)
    assert [name for name in trained(mapped) if "query" in name]
    query, history = random_queries(2, seed=8), pack(*random_histories([4, 2], seed=8))
    torch.testing.assert_close(embedder.weights(query, history), mapped.weights(query, history))


def test_without_recency_the_age_of_an_item_changes_nothing(build):
    history, query = random_history(4, seed=9), random_queries(1, seed=9)
    older = History(history.vectors, history.ages * torch.tensor([5.0, 1.0, 0.1, 2.0]))
    for use_recency in (True, False):
        embedder = build(use_recency=use_recency)
        same = torch.equal(embedder(query, pack(older)), embedder(query, pack(history)))
        assert same != use_recency
