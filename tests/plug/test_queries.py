from dataclasses import replace

import pytest
import torch

from personaplug.plug.batch import Batcher
from personaplug.plug.prompts import Prompts
from personaplug.plug.queries import QueryVectors
from personaplug.plug.query_source import QuerySource
from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.plug.retrievers import by_vectors
from tests import tiny
from tests.world import TASK

STORED = "a talk about x 0"


@pytest.fixture
def encoder(monkeypatch):
    """An encoder that remembers, in ``asked``, what it was given."""
    encoder = tiny.text_encoder()
    asked = []
    encode = encoder.encode

    def remembering(texts):
        asked.extend(texts)
        return encode(texts)

    monkeypatch.setattr(encoder, "encode", remembering, raising=False)
    encoder.asked = asked
    return encoder


def test_each_text_is_encoded_once(encoder, store):
    queries = QueryVectors(encoder, store)
    for texts in (["a", "b", "a"], ["b", "c"], ["a"]):
        queries(texts)
    assert sorted(encoder.asked) == ["a", "b", "c"]


def test_a_text_that_the_store_knows_is_not_encoded_again(encoder, store):
    (found,) = QueryVectors(encoder, store)([STORED])
    assert not encoder.asked
    torch.testing.assert_close(found, tiny.text_encoder().encode([STORED])[0], atol=1e-3, rtol=0.0)


def test_without_a_store_every_query_is_encoded(encoder):
    QueryVectors(encoder, None)([STORED])
    assert encoder.asked == [STORED]


def test_vectors_come_in_the_order_asked_and_do_not_depend_on_what_was_asked_before(encoder, store):
    texts = ["b", STORED, "a", "b"]
    together = QueryVectors(encoder, store)(texts)
    alone = torch.cat([QueryVectors(encoder, store)([text]) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0.0)
    assert together.dtype == torch.float32


def test_no_texts_give_no_vectors(encoder, store):
    assert QueryVectors(encoder, store)([]).shape == (0, encoder.dim)


def test_no_more_vectors_are_kept_than_there_is_room_for(encoder, store):
    queries = QueryVectors(encoder, store, capacity=2)
    for texts in (["a", "b", "c"], ["c"], ["a"]):
        queries(texts)
    assert encoder.asked == ["a", "b", "c", "a"]


def test_a_query_is_encoded_with_its_prefix_and_never_mistaken_for_an_item(encoder, store):
    encoder.config = replace(encoder.config, query_prefix="find: ")
    QueryVectors(encoder, store)([STORED])
    assert encoder.asked == [f"find: {STORED}"]


def test_the_vectors_can_stand_in_a_graph_of_gradients(encoder, store):
    weight = torch.ones(encoder.dim, requires_grad=True)
    (QueryVectors(encoder, store)(["a", STORED]) * weight).sum().backward()
    assert weight.grad is not None


def test_each_query_of_a_batch_is_encoded_once_for_persona_and_retrieval_and_anew_for_the_next_batch(
    encoder, store, examples
):
    queries = QueryVectors.of(encoder, store, source=QuerySource.ANEW)
    dense = by_vectors(TASK, store, queries=queries)
    items = RetrievalPrompt(TASK, dense, k=1, item_tokens=99, count_tokens=len, cut=str, max_tokens=999)
    batcher = Batcher(TASK, store, query_vectors=queries, prompts=Prompts(TASK, items=items))
    asked = [replace(example, input=f"query {at}") for at, example in enumerate(examples[-3:])]
    for batches in (1, 2):
        batcher(asked)
        assert sorted(encoder.asked) == sorted(["query 0", "query 1", "query 2"] * batches)


def test_what_is_asked_anew_is_encoded_each_time_and_nothing_of_it_is_kept(encoder, store):
    queries = QueryVectors.of(encoder, store, source=QuerySource.ANEW)
    assert torch.equal(queries([STORED]), queries([STORED]))
    assert encoder.asked == [STORED, STORED]
