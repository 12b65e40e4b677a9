import math

import pytest
from rank_bm25 import BM25Okapi

from personaplug.retrieval.bm25 import BM25Retriever
from tests.factories import make_item, make_items

by_input = BM25Retriever(lambda item: item.input)


def okapi(count: int, length: int, *, idf: float, mean_length: float) -> float:
    """Robertson and Zaragoza 2009, equation 3.15, with the usual k1 = 1.5 and b = 0.75."""
    return idf * count * 2.5 / (count + 1.5 * (0.25 + 0.75 * length / mean_length))


def test_the_order_is_that_of_the_formula_by_hand():
    # "cat" stands in 3 of 7 texts of 18 words in all: idf = log((7 - 3 + .5) / (3 + .5))
    items = make_items("cat", "dog", "a cat sat on a mat", "cat cat", "bird", "fish or fowl", "a horse neighs loud")
    idf, mean_length = math.log(4.5 / 3.5), 18 / 7
    by_hand = {
        index: okapi(count, length, idf=idf, mean_length=mean_length)
        for index, count, length in [(0, 1, 1), (2, 1, 6), (3, 2, 2)]
    }
    best_three = sorted(by_hand, key=by_hand.__getitem__, reverse=True)
    assert best_three == [3, 0, 2]
    assert by_input.rank("Cat", items) == [3, 0, 2, 6, 5, 4, 1]


def test_a_rare_word_counts_for_more_than_a_common_one():
    items = make_items("red apple", "green pear", "red plum", "red fig", "old nut", "new nut", "raw nut", "dry nut")
    assert by_input.rank("red pear", items)[0] == 1


@pytest.mark.parametrize("query", ["FROST", "frost", "Frost snow"])
def test_case_is_ignored(query):
    assert by_input.rank(query, make_items("Frost came", "sun", "rain", "wind"))[0] == 0


@pytest.mark.parametrize("texts", [[""], ["", "  \n"]])
def test_items_without_a_word_come_latest_first(texts):
    with pytest.raises(ZeroDivisionError):  # the trap that the retriever steps around
        BM25Okapi([text.split() for text in texts])
    assert by_input.rank("anything", make_items(*texts)) == list(reversed(range(len(texts))))


def test_the_given_text_of_an_item_is_what_is_searched():
    items = [make_item(0, "x", output="snow"), make_item(1, "snow"), make_item(2, "y"), make_item(3, "z")]
    assert BM25Retriever(lambda item: item.output or "none").rank("snow", items)[0] == 0


def test_case_may_be_kept_as_the_benchmark_keeps_it():
    cased = BM25Retriever(lambda item: item.input, keeps_case=True)
    items = make_items("Frost came", "frost", "rain", "wind", "sun")
    assert cased.rank("Frost", items)[0] == 0
    assert cased.rank("frost", items)[0] == 1
    assert cased.rank("FROST", items) == list(reversed(range(5)))
