"""The persona that is made of how outputs are worded; the laws of every persona are in test_user_embedder.py."""

import math
from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.embedder.embedder_config import EmbedderConfig
from personaplug.embedder.wording import Wording
from tests.embedder.histories import (
    DIM,
    LLM_DIM,
    NORM,
    PLACES,
    VIEWS,
    as_if_trained,
    few,
    fresh_embedder,
    only,
    pack,
    random_histories,
    random_history,
    random_queries,
    random_wording,
)

SEEDS = st.integers(0, 99)


def fresh(**settings):
    return fresh_embedder(EmbedderConfig(made_of="outputs", output_tokens=PLACES - 1, **settings))


def persona(embedder, query, *histories):
    """The user's own vectors alone."""
    return embedder(query, pack(*histories))[:, embedder.config.instructions :]


@few
@given(count=st.integers(1, 8), gain=st.floats(-2, 2), seed=SEEDS)
def test_the_fresh_persona_is_the_gain_times_the_weighted_mean_embedding_beside_the_generic_one(count, gain, seed):
    """By hand, item by item: softmax of the cosines over a temperature of 0.1, a mean a place, the given length."""
    model = fresh(gain=gain, temperature=0.1)
    query, history = random_queries(1, seed=seed), random_history(count, seed=seed)
    shares = ((history.vectors[:, 0].double() @ query[0].double()) / 0.1).softmax(dim=0)
    for place, made in enumerate(persona(model, query, history)[0].double()):
        total = sum(share * own[place].double() for share, own in zip(shares, history.wording.vectors, strict=True))
        expected = model.generic(1)[0, place].double()
        if history.wording.mask[:, place].any():
            expected = expected + gain * NORM * total / total.norm()
        torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)


@few
@given(count=st.integers(0, 8), other=SEEDS, seed=SEEDS)
def test_the_second_half_is_a_mean_of_all_items_and_knows_no_query(count, other, seed):
    model, history = as_if_trained(fresh(gain=1.0, with_mean=True)), random_history(count, seed=seed)
    made, again = (persona(model, random_queries(1, seed=each), history)[0] for each in (seed, other + 100))
    assert made.shape == (2 * PLACES, LLM_DIM)
    torch.testing.assert_close(made[PLACES:], again[PLACES:])
    alone = as_if_trained(fresh(gain=1.0, weighting="mean"))
    alone.projector.load_state_dict(model.mean_projector.state_dict())
    with torch.no_grad():
        alone.generic.vectors.copy_(model.generic.vectors[PLACES:])
    torch.testing.assert_close(made[PLACES:], persona(alone, random_queries(1, seed=seed), history)[0])


@few
@given(count=st.integers(2, 8), seed=SEEDS)
def test_the_first_half_is_what_it_is_without_the_second(count, seed):
    both, one = as_if_trained(fresh(gain=1.0, with_mean=True)), fresh(gain=1.0)
    state = {name: weight for name, weight in both.state_dict().items() if not name.startswith("mean_projector")}
    state["generic.vectors"] = state["generic.vectors"][:PLACES]
    one.load_state_dict(state)
    query, history = random_queries(1, seed=seed), random_history(count, seed=seed)
    torch.testing.assert_close(persona(both, query, history)[0, :PLACES], persona(one, query, history)[0])


def test_a_place_that_far_items_alone_have_is_as_long_as_any():
    """At a temperature of 0.0125 an item at a right angle to the query weighs e^-80."""
    model = as_if_trained(fresh(gain=1.0, temperature=0.0125, is_residual=False))
    with torch.no_grad():
        model.projector.outer.zero_()
        model.projector.gain.fill_(1.0)
        model.query_map.weight.copy_(torch.eye(DIM))
        model.aggregator.log_temperature.fill_(math.log(0.0125))
    near, far = torch.eye(DIM)[:2]
    mask = torch.tensor([[True] + [False] * (PLACES - 1), [True] * PLACES])
    wording = Wording(torch.randn(2, PLACES, LLM_DIM) * mask[:, :, None], mask)
    vectors = torch.stack([near, far])[:, None].expand(-1, VIEWS, -1)
    history = replace(random_history(2, seed=0), vectors=vectors, wording=wording)
    lengths = persona(model, near[None], history)[0].norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full((PLACES,), NORM), atol=1e-3, rtol=1e-3)


@few
@given(count=st.integers(1, 6), seed=SEEDS)
def test_an_item_that_weighs_nothing_changes_nothing(count, seed):
    model, history = as_if_trained(fresh(gain=1.0, items=count)), random_history(count + 1, seed=seed)
    query = random_queries(1, seed=seed)
    latest = only(history, list(range(1, count + 1)))
    torch.testing.assert_close(persona(model, query, history), persona(model, query, latest), atol=1e-5, rtol=1e-5)


def test_a_place_that_no_output_has_stays_generic_and_the_others_are_moved():
    for model in (as_if_trained(fresh(gain=1.0, is_residual=residual)) for residual in (True, False)):
        history = random_history(3, seed=1)
        mask = torch.ones(3, PLACES, dtype=torch.bool)
        mask[:, -1] = False
        short = replace(history, wording=Wording(torch.randn(3, PLACES, LLM_DIM) * mask[:, :, None], mask))
        made = persona(model, random_queries(1, seed=1), short)[0]
        assert torch.equal(made[-1], model.generic(1)[0, -1])
        assert not torch.isclose(made[:-1], model.generic(1)[0, :-1]).all(dim=-1).any()


def test_an_output_without_a_place_takes_no_part_in_its_mean():
    model, query, history = as_if_trained(fresh(gain=1.0)), random_queries(1, seed=2), random_history(2, seed=2)
    mask = torch.tensor([[True] * PLACES, [True] + [False] * (PLACES - 1)])
    both = replace(history, wording=Wording(torch.randn(2, PLACES, LLM_DIM) * mask[:, :, None], mask))
    alone = only(both, [0])
    made, expected = (persona(model, query, each)[0] for each in (both, alone))
    torch.testing.assert_close(made[1:], expected[1:])
    assert not torch.allclose(made[0], expected[0])


def test_all_vectors_share_one_attention():
    model = fresh()
    weights = model.weights(random_queries(2, seed=3), pack(*random_histories([4, 2], seed=3)))
    assert weights.shape == (2, 1, 4)
    assert model.config.vectors == 1 + PLACES


def test_what_a_persona_of_outputs_reads_of_an_item_besides_its_output_is_the_attentions_view():
    model, query, history = as_if_trained(fresh(gain=1.0)), random_queries(1, seed=4), random_history(4, seed=4)
    other = history.vectors.clone()
    other[:, 1] = random_history(4, seed=5).vectors[:, 1]
    assert torch.equal(persona(model, query, replace(history, vectors=other)), persona(model, query, history))
    reworded = replace(history, wording=random_wording(4, seed=6))
    assert not torch.allclose(persona(model, query, reworded), persona(model, query, history))


def told_of_all(*histories, **settings):
    """A fresh persona that was trained on these users once, and what everyone's wording then is."""
    model = fresh(gain=1.0, is_residual=False, nobody="mean", **settings).train()
    model(random_queries(len(histories), seed=0), pack(*histories))
    return model.eval()


@few
@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=SEEDS)
def test_a_user_without_items_has_everyones_wording_as_long_as_any(counts, seed):
    histories = random_histories(counts, seed=seed)
    model = told_of_all(*histories, weighting="mean")
    made = persona(model, random_queries(1, seed=seed), random_history(0, seed=0))[0]
    alone = [persona(model, random_queries(1, seed=seed), history)[0] for history in histories]
    for place in range(PLACES):
        has = [
            each[place] for each, history in zip(alone, histories, strict=True) if history.wording.mask[:, place].any()
        ]
        total = sum(has, torch.zeros(LLM_DIM))
        expected = NORM * total / total.norm() if has else total
        torch.testing.assert_close(made[place], expected, atol=1e-3, rtol=1e-3)


@few
@given(counts=st.lists(st.integers(0, 3), min_size=1, max_size=4), instructs_all=st.booleans(), seed=SEEDS)
def test_where_no_item_says_anything_nothing_stands_and_without_any_no_instruction(counts, instructs_all, seed):
    histories = random_histories(counts, seed=seed)
    model = fresh(gain=1.0, is_residual=False, nobody="nothing", with_mean=True, instructions=2, first="persona")
    model.instructs_all = instructs_all
    there = model.is_there(pack(*histories))
    for row, history in zip(there, histories, strict=True):
        said = history.wording.mask.any(dim=0).tolist()
        assert row.tolist() == [*said, *said, *[any(said) or instructs_all] * 2]


def test_everyones_wording_is_mapped_as_a_users_is_and_moves_nobody_who_has_items():
    histories = random_histories([3, 2], seed=5)
    model = told_of_all(*histories, with_mean=True)
    before = persona(model, random_queries(1, seed=1), histories[0])
    for each in (model.projector, model.mean_projector):
        each.everyone.mean += 1.0
    torch.testing.assert_close(persona(model, random_queries(1, seed=1), histories[0]), before)
    nobody = persona(model, random_queries(1, seed=1), random_history(0, seed=0))
    with torch.no_grad():
        model.projector.gain *= 3
    scaled = persona(model, random_queries(1, seed=1), random_history(0, seed=0))
    torch.testing.assert_close(scaled[:, :PLACES], 3 * nobody[:, :PLACES])


@few
@given(count=st.integers(0, 4), place=st.sampled_from(["before", "after"]), seed=SEEDS)
def test_who_stands_first_changes_the_order_alone(count, place, seed):
    models = [
        as_if_trained(fresh(gain=1.0, instructions=2, place=place, first=first)) for first in ("instruction", "persona")
    ]
    query, history = random_queries(1, seed=seed), pack(random_history(count, seed=seed))
    instruction, persona = models[0](query, history).split([2, PLACES], dim=1)
    torch.testing.assert_close(models[1](query, history), torch.cat([persona, instruction], dim=1))
    for model in models:
        assert torch.equal(model(query, history)[:, model.config.persona_places], persona)
