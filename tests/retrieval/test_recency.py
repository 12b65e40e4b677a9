from personaplug.retrieval.recency import RecencyRetriever
from tests.factories import make_items


def test_the_latest_item_comes_first_whatever_the_query():
    items = make_items("query", "other", "other")
    assert RecencyRetriever().rank("query", items) == RecencyRetriever().rank("", items) == [2, 1, 0]
