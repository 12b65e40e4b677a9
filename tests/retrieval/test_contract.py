"""What every retriever promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaplug.retrieval.base import Retriever
from personaplug.retrieval.bm25 import BM25Retriever
from personaplug.retrieval.dense import DenseRetriever
from personaplug.retrieval.random_order import RandomRetriever
from personaplug.retrieval.recency import RecencyRetriever
from tests.factories import make_items


def letter_counts(texts):
    """Encode texts as counts of a, b and c: a text encoder without a model."""
    return np.array([[text.count(letter) for letter in "abc"] for text in texts], dtype=np.float32)


RETRIEVERS = {
    "bm25": BM25Retriever(lambda item: item.input),
    "dense": DenseRetriever(letter_counts, lambda items: letter_counts([item.input for item in items])),
    "random": RandomRetriever(),
    "recency": RecencyRetriever(),
}

queries = st.text("abc A\n\udfff", max_size=12)
histories = st.lists(queries, max_size=20).map(lambda texts: make_items(*texts))


@pytest.fixture(scope="module", params=RETRIEVERS.values(), ids=RETRIEVERS.keys())
def retriever(request) -> Retriever:
    return request.param


@pytest.mark.parametrize("query", ["", "a b", "\n"])
def test_nothing_to_rank_gives_no_ranks(retriever, query):
    assert retriever.rank(query, ()) == []


@given(query=queries, items=histories)
def test_every_item_is_ranked_once(retriever, query, items):
    assert sorted(retriever.rank(query, items)) == list(range(len(items)))


@given(query=queries, items=histories, other=histories)
def test_the_order_does_not_depend_on_what_was_ranked_before(retriever, query, items, other):
    first = retriever.rank(query, items)
    retriever.rank("b c", other)
    assert retriever.rank(query, items) == first


@given(query=queries, text=queries, size=st.integers(1, 40))
@pytest.mark.parametrize("retriever", [RETRIEVERS[name] for name in ("bm25", "dense", "recency")])
def test_of_items_that_say_the_same_the_latest_comes_first(retriever, query, text, size):
    assert retriever.rank(query, make_items(*[text] * size)) == list(reversed(range(size)))
