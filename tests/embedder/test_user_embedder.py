import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.config import from_mapping
from personaplug.embedder.embedder_config import PAPER, EmbedderConfig
from personaplug.errors import ConfigError
from tests.embedder.histories import (
    LLM_DIM,
    NORM,
    PLACES,
    as_if_trained,
    few,
    fresh_embedder,
    only,
    pack,
    random_histories,
    random_history,
    random_queries,
    with_padding,
)

CONFIGS = {
    "default": EmbedderConfig(),
    "paper": PAPER,
    "outputs": EmbedderConfig(made_of="outputs", output_tokens=PLACES - 1, gain=0.5),
    "outputs alone": EmbedderConfig(made_of="outputs", output_tokens=PLACES - 1, gain=0.5, is_residual=False),
    "quotes": EmbedderConfig(made_of="quotes", quotes=3, output_tokens=PLACES - 1, is_residual=False),
    "bare": EmbedderConfig(personas=2, instructions=0, is_residual=False, use_recency=False, learn_temperature=False),
}
COUNTS = st.lists(st.integers(0, 7), min_size=1, max_size=5)
SEEDS = st.integers(0, 99)


@pytest.fixture(params=list(CONFIGS.values()), ids=list(CONFIGS), scope="module")
def embedder(request):
    return as_if_trained(fresh_embedder(request.param))


def linear(layer, vector):
    """Apply a linear layer in double precision."""
    return layer.weight.double() @ vector.double() + layer.bias.double()


def mlp(inner, outer, vector):
    """Linear, GELU by its definition (arXiv 1606.08415), Linear."""
    hidden = [0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in linear(inner, vector).tolist()]
    return linear(outer, torch.tensor(hidden, dtype=torch.float64))


@few
@given(count=st.integers(1, 8), seed=SEEDS)
def test_the_paper_preset_computes_the_equations_of_the_paper(count, seed):
    """Against arXiv 2409.11901, section 3.2, item by item: softmax of q.k, projection before the sum."""
    model = as_if_trained(fresh_embedder(PAPER), seed=seed)
    query, history = random_queries(1, seed=seed)[0], random_history(count, seed=seed)
    keys = history.vectors[:, 0].double()
    scores = [math.exp(float(query.double() @ key)) for key in keys]
    persona = torch.zeros(LLM_DIM, dtype=torch.float64)
    for score, key in zip(scores, keys, strict=True):
        persona += score / sum(scores) * mlp(model.projector.inner, model.projector.outer, key)
    instruction = mlp(model.instruction.inner, model.instruction.outer, model.instruction.vectors[0])
    naive = torch.stack([float(model.instruction.scale) * instruction, float(model.scale) * persona])
    torch.testing.assert_close(model(query[None], pack(history))[0].double(), naive, atol=1e-5, rtol=1e-5)


@few
@given(count=st.integers(1, 9), seed=SEEDS, data=st.data())
def test_item_order_is_irrelevant(embedder, count, seed, data):
    history, query = random_history(count, seed=seed), random_queries(1, seed=seed)
    order = data.draw(st.permutations(range(count)))
    shuffled = only(history, order)
    torch.testing.assert_close(embedder(query, pack(shuffled)), embedder(query, pack(history)), atol=1e-4, rtol=1e-4)


@few
@given(counts=COUNTS, extra=st.integers(1, 4), junk=st.floats(-9, 9, width=32), seed=SEEDS)
def test_what_stands_in_the_padding_changes_nothing(embedder, counts, extra, junk, seed):
    batch, queries = pack(*random_histories(counts, seed=seed)), random_queries(len(counts), seed=seed)
    padded = with_padding(batch, extra, junk=junk)
    torch.testing.assert_close(embedder(queries, padded), embedder(queries, batch), atol=1e-4, rtol=1e-4)


@few
@given(counts=COUNTS, seed=SEEDS)
def test_batched_equals_one_by_one(embedder, counts, seed):
    histories, queries = random_histories(counts, seed=seed), random_queries(len(counts), seed=seed)
    alone = [embedder(queries[user : user + 1], pack(histories[user]))[0] for user in range(len(counts))]
    torch.testing.assert_close(embedder(queries, pack(*histories)), torch.stack(alone), atol=1e-4, rtol=1e-4)


@few
@given(counts=COUNTS, seed=SEEDS)
def test_an_empty_history_gives_exactly_the_generic_persona_and_finite_gradients(embedder, counts, seed):
    counts = [*counts, 0]
    embedder.zero_grad()
    prefix = embedder(random_queries(len(counts), seed=seed), pack(*random_histories(counts, seed=seed)))
    personas = prefix[:, embedder.config.instructions :]
    for persona, count in zip(personas, counts, strict=True):
        assert torch.equal(persona, embedder.generic(1)[0]) == (count == 0)
    prefix.square().sum().backward()
    trained = [weight for weight in embedder.parameters() if weight.requires_grad]
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in trained)


@pytest.mark.parametrize("made_of", ["encoder", "outputs"])
def test_at_the_start_a_residual_plug_gives_every_user_the_generic_persona(made_of):
    model = fresh_embedder(EmbedderConfig(is_residual=True, made_of=made_of, output_tokens=PLACES - 1))
    personas = model(random_queries(3, seed=1), pack(*random_histories([4, 0, 1], seed=1)))[:, 1:]
    assert torch.equal(personas, model.generic(3))


@pytest.mark.parametrize("made_of", ["encoder", "outputs"])
def test_a_fresh_residual_plug_can_still_learn_from_its_histories(made_of):
    model = fresh_embedder(EmbedderConfig(is_residual=True, made_of=made_of, output_tokens=PLACES - 1))
    model(random_queries(2, seed=1), pack(*random_histories([4, 3], seed=1))).square().sum().backward()
    outer = model.projector.outer if made_of == "outputs" else model.projector.outer.weight
    assert outer.grad.abs().sum() > 0


@pytest.mark.parametrize("llm_dim", [12, 64])
def test_a_fresh_paper_persona_is_about_as_long_as_the_token_embeddings(llm_dim):
    model = fresh_embedder(PAPER, llm_dim=llm_dim)
    prefix = model(random_queries(200, seed=1), pack(*random_histories([1] * 200, seed=1)))
    instruction, persona = prefix.norm(dim=-1).mean(dim=0).tolist()
    assert persona == pytest.approx(NORM, rel=0.05)
    assert instruction == pytest.approx(NORM, rel=0.01)


def test_fresh_default_vectors_are_as_long_as_the_token_embeddings():
    model = fresh_embedder(EmbedderConfig())
    lengths = model(random_queries(2, seed=1), pack(*random_histories([3, 0], seed=1))).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, NORM))


def test_instructions_stand_before_the_persona_and_are_the_same_for_every_user(embedder):
    prefix = embedder(random_queries(2, seed=1), pack(*random_histories([3, 5], seed=1)))
    count = embedder.config.instructions
    assert prefix.shape == (2, embedder.config.vectors, LLM_DIM)
    assert torch.equal(prefix[:, :count], embedder.instruction(2))
    assert torch.equal(prefix[0, :count], prefix[1, :count])
    assert not torch.allclose(prefix[0, count:], prefix[1, count:])


def test_the_query_map_of_a_frozen_encoder_starts_as_the_identity():
    model, queries = fresh_embedder(EmbedderConfig(personas=3)), random_queries(4, seed=1)
    torch.testing.assert_close(model.query_map(queries), queries[:, None].expand(-1, 3, -1))


def test_a_trained_query_encoder_needs_no_query_map():
    assert fresh_embedder(PAPER).query_map is None


@pytest.mark.parametrize(
    "values",
    [
        {"personas": 0},
        {"instructions": -1},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"output_tokens": 0},
        {"gain": float("nan")},
        {"made_of": "words"},
        {"quotes": 0},
        {"place": "beside"},
    ],
)
def test_impossible_values_are_refused(values):
    with pytest.raises(ConfigError, match="here"):
        from_mapping(EmbedderConfig, values, where="here")
