from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.embedder.embedder_config import OURS, PAPER, EmbedderConfig
from personaplug.embedder.user_embedder import UserEmbedder
from personaplug.plug.batch import Batcher, PlugBatch
from personaplug.plug.memory import weigh
from personaplug.plug.prefix import PersonaPrefix, TunedPrefix
from personaplug.plug.queries import QueryVectors
from tests import tiny
from tests.embedder.histories import DIM, LLM_DIM, PLACES, VIEWS, few, pack, random_histories, random_queries
from tests.world import TASK


def embedder(config):
    torch.manual_seed(0)
    return UserEmbedder(config, views=2, dim=16, llm_dim=8, embedding_norm=2.0)


def test_a_frozen_query_encoder_is_no_part_of_the_prefix_and_a_trained_one_is():
    frozen, trained = (
        PersonaPrefix(embedder(EmbedderConfig()), None),
        PersonaPrefix(embedder(PAPER), tiny.text_encoder()),
    )
    assert not any("query_encoder" in name for name in frozen.state_dict())
    assert any("query_encoder" in name for name in trained.state_dict())


def test_both_ways_to_make_a_query_vector_agree(store, examples):
    encoder = tiny.text_encoder()
    given = Batcher(TASK, store, query_vectors=QueryVectors(encoder, store))(examples)
    read = Batcher(TASK, store, query_vectors=None)(examples)
    frozen, trained = (PersonaPrefix(embedder(PAPER), each) for each in (None, encoder))
    torch.testing.assert_close(frozen(given), trained(read), atol=1e-3, rtol=1e-3)


def test_a_batch_made_for_a_trained_query_encoder_is_not_read_by_a_frozen_one(store, examples):
    batch = Batcher(TASK, store, query_vectors=None)(examples)
    with pytest.raises(ValueError, match="trained query encoder"):
        PersonaPrefix(embedder(EmbedderConfig()), None)(batch)


def test_the_query_decides_what_weighs_most(store, examples):
    prefix = PersonaPrefix(embedder(EmbedderConfig()), None)
    batch = Batcher(TASK, store, query_vectors=QueryVectors(tiny.text_encoder(), store))
    dee = examples[-1]
    asked = [batch([replace(dee, input=text)]) for text in "xy"]
    (first,), (second,) = (weigh(prefix, each, histories=[dee.profile.items]) for each in asked)
    assert not torch.allclose(*(torch.tensor([memory.weights for memory in each]) for each in (first, second)))


def test_a_tuned_prefix_ignores_the_user(store, examples):
    prefix = TunedPrefix(5, 8, embedding_norm=2.0)
    made = prefix(Batcher(TASK, store, query_vectors=None)(examples))
    assert made.shape == (len(examples), 5, 8)
    assert torch.equal(made, prefix(Batcher(TASK, None, query_vectors=None)(examples[::-1])))
    assert torch.equal(made[0], made[-1])


def test_a_persona_begins_as_the_tuned_prompt_of_the_same_seed(store, examples):
    persona = PersonaPrefix(embedder(EmbedderConfig()), None)
    torch.manual_seed(0)
    tuned = TunedPrefix(5, 8, embedding_norm=2.0)
    batch = Batcher(TASK, store, query_vectors=QueryVectors(tiny.text_encoder(), store))(examples)
    torch.testing.assert_close(persona(batch), tuned(batch))


@few
@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    items=st.integers(0, 3),
    by=st.sampled_from(["latest", "similar"]),
    made_of=st.sampled_from(["outputs", "quotes"]),
    seed=st.integers(0, 99),
)
def test_a_persona_vector_stands_there_where_an_item_that_it_is_made_of_speaks(counts, items, by, made_of, seed):
    config = replace(
        OURS, made_of=made_of, output_tokens=PLACES - 1, instructions=0, items=items, items_by=by, quotes=2
    )
    made = UserEmbedder(config, views=VIEWS, dim=DIM, llm_dim=LLM_DIM, embedding_norm=2.0).eval()
    history, queries = pack(*random_histories(counts, seed=seed)), random_queries(len(counts), seed=seed)
    batch = PlugBatch(("",) * len(counts), (), (), queries, history)
    prefix = PersonaPrefix(made, None)
    assert torch.equal(prefix.is_there(batch), (prefix(batch) != 0).any(dim=-1))
